import Tokens

/// How a teacher with another tokenizer has come to its grade of a token.
package enum TokenComparison: UInt8, Sendable, Codable {
    /// The teacher has the same token, and this is its log-probability.
    case own
    /// The token's part of what the teacher gives to neighbouring tokens together; of several teachers, what those say of
    /// it that can, where not all of them have the token.
    case shared
    /// There is none: the token counts as one on which the two agree.
    case none
}

extension Grade {
    /// What a teacher with another tokenizer says of the student's tokens, of one that says something of its own.
    ///
    /// A span of one token on either side has the teacher's number, to the bit. In others of n tokens the sum T of the
    /// teacher's log-probabilities is shared out by the student's own, t_i = T b_i / B, B = sum b: so the sum of t is T and
    /// the sum of b - t is B - T, no t is above 0, and the span's divergence is given to those tokens at which the student
    /// has chosen, not to those that follow of themselves (Y. Niu and others, 2026, arXiv:2606.09456, cut both sides where
    /// they end together and share a span's log-probability out, too). A b that rounding has put above 0 counts as 0.
    /// Where nothing can be compared t is b.
    /// - Parameters:
    ///   - logprobs: one for each of the teacher's tokens.
    ///   - spans: of the student's tokens beside the teacher's.
    ///   - behaviour: b, one for each of the student's tokens.
    package init(retokenized logprobs: [Float], over spans: [TokenSpan], behaviour: [Float]) {
        precondition(spans.reduce(0) { $0 + $1.count } == behaviour.count, "spans hold all tokens of the student")
        precondition(spans.reduce(0) { $0 + $1.otherCount } == logprobs.count, "spans hold all tokens of the teacher")
        var own = behaviour
        var comparisons = [TokenComparison](repeating: .none, count: behaviour.count)
        var here = 0, there = 0
        for span in spans {
            let range = here..<here + span.count, others = logprobs[there..<there + span.otherCount]
            (here, there) = (range.upperBound, others.endIndex)
            guard span.isComparable else { continue }
            if span.isOneToOne {
                own[range.lowerBound] = others[others.startIndex]
                comparisons[range.lowerBound] = .own
                continue
            }
            let chosen = behaviour[range].map { min(Double($0), 0) }, student = chosen.reduce(0, +)
            let whole = others.reduce(0) { $0 + Double($1) }
            for (index, b) in zip(range, chosen) {
                // A student that was sure of all of them leaves nothing to go by.
                own[index] = Float(student < 0 ? whole * (b / student) : whole / Double(span.count))
                comparisons[index] = .shared
            }
        }
        self.init(logprobs: own)
        self.comparisons = comparisons
    }
}

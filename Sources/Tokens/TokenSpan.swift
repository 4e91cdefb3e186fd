/// Neighbouring tokens of a response beside those that another tokenizer has for the same bytes.
///
/// The spans of a response follow one another and hold all tokens of both sides.
package struct TokenSpan: Sendable, Hashable {
    /// Tokens of the response.
    package var count: Int
    /// Tokens of the other tokenizer; 0: it has none for them.
    package var otherCount: Int
    /// Whether the two sides say the same, so that their probabilities may be compared.
    package var isComparable: Bool

    package init(count: Int, otherCount: Int, isComparable: Bool = true) {
        self.count = count
        self.otherCount = otherCount
        self.isComparable = isComparable
    }

    /// Whether it is one token of either side, with the same bytes or the same part to play.
    package var isOneToOne: Bool { count == 1 && otherCount == 1 && isComparable }
}

extension TokenSpan {
    /// The shortest spans: cut wherever tokens of both sides end at the same byte.
    ///
    /// What is left where the bytes of one side run out before the other's, or where tokens without bytes are at the end,
    /// is a last span that is not comparable.
    /// - Parameters:
    ///   - lengths: bytes of the response's tokens, each at least 0.
    ///   - others: bytes of the other tokenizer's.
    package static func aligned(_ lengths: [Int], _ others: [Int]) -> [TokenSpan] {
        var spans: [TokenSpan] = []
        var here = 0, there = 0
        while here < lengths.count, there < others.count {
            let start = (here, there)
            var ahead = lengths[here] - others[there]
            (here, there) = (here + 1, there + 1)
            while ahead != 0 {
                if ahead < 0, here < lengths.count {
                    ahead += lengths[here]
                    here += 1
                } else if ahead > 0, there < others.count {
                    ahead -= others[there]
                    there += 1
                } else {
                    return spans + [rest(from: start, lengths, others)]
                }
            }
            spans.append(TokenSpan(count: here - start.0, otherCount: there - start.1))
        }
        guard here < lengths.count || there < others.count else { return spans }
        return spans + [rest(from: (here, there), lengths, others)]
    }

    private static func rest(from start: (Int, Int), _ lengths: [Int], _ others: [Int]) -> TokenSpan {
        TokenSpan(
            count: lengths.count - start.0, otherCount: others.count - start.1, isComparable: false)
    }
}

/// A response as another tokenizer than its own cuts it.
package struct RetokenizedResponse: Sendable, Equatable {
    /// Ids of the other tokenizer.
    package private(set) var ids: [Int32]
    package private(set) var spans: [TokenSpan]

    package init(ids: [Int32] = [], spans: [TokenSpan] = []) {
        precondition(spans.reduce(0) { $0 + $1.otherCount } == ids.count, "spans hold all tokens")
        self.ids = ids
        self.spans = spans
    }

    /// Appends tokens of the other side, and the spans that they are in.
    package mutating func append(_ ids: [Int32], _ spans: [TokenSpan]) {
        self.ids += ids
        self.spans += spans
    }

    /// Takes the end of a response as one that says nothing: it was cut off, and its last tokens may be the beginning of
    /// a longer one of the other side. A single token of both sides is what it is.
    package mutating func leaveOpen() {
        guard let last = spans.last, !last.isOneToOne else { return }
        spans[spans.count - 1].isComparable = false
    }

    /// Leaves out what does not fit in so many tokens of the other side, whole spans from the end.
    package mutating func fit(in room: Int) {
        guard ids.count > room else { return }
        var total = ids.count
        for index in spans.indices.reversed() where total > room {
            total -= spans[index].otherCount
            spans[index] = TokenSpan(count: spans[index].count, otherCount: 0, isComparable: false)
        }
        ids.removeLast(ids.count - total)
    }
}

/// What a teacher is asked for at every token of a response.
package enum GradeRequest: Sendable, Equatable {
    /// The log-probability of the response's token.
    case sampled
    /// The same, the log-probabilities of its so many most probable tokens, among ids below a bound, and that of all
    /// others together.
    case top(Int, below: Int32)
    /// Also the teacher's last hidden states, of which its head makes its whole distribution.
    case hidden

    /// The tokens that are listed at every position; 0: none.
    package var topCount: Int {
        switch self {
        case .sampled, .hidden: 0
        case .top(let count, _): count
        }
    }
}

/// A teacher's answer for one response.
package struct Grade: Sendable, Equatable {
    /// Log-probability in nats of each response token.
    package var logprobs: [Float]
    /// Its most probable tokens at each of them; nil where they were not asked for.
    package var top: TopTokens?
    /// Those of each of several teachers that say this together; none where one alone says it.
    package var lists: [SharedTopTokens] = []
    /// Its last hidden states, one a token; nil where they were not asked for.
    package var hidden: HiddenStates?
    /// How each token was compared; nil: by the teacher's own log-probability of it, as equal tokenizers allow.
    package var comparisons: [TokenComparison]?

    package init(logprobs: [Float], top: TopTokens? = nil, hidden: HiddenStates? = nil) {
        self.logprobs = logprobs
        self.top = top
        self.hidden = hidden
    }

    /// Whether all that was told are numbers.
    package var areFinite: Bool {
        logprobs.areFinite && top?.areFinite ?? true && lists.allSatisfy(\.top.areFinite)
            && hidden?.areFinite ?? true
    }

    /// A grade without numbers, for a response of so many tokens.
    package static func missing(_ count: Int) -> Grade { Grade(logprobs: [Float](repeating: .nan, count: count)) }
}

/// A teacher's distribution at every token of a response, as far as it is told: k tokens, and all others together as one
/// more class, the tail.
package struct TopTokens: Sendable, Equatable {
    /// k, at least 1.
    package let count: Int
    /// Tokens, k a position, ascending in each.
    package let ids: [Int32]
    /// Their log-probabilities in nats.
    package let logprobs: [Float]
    /// The tail's log-probability in nats, one a position.
    package let tails: [Float]

    /// The most tokens that are listed at a position.
    package static let mostTokens = 1024

    package init(count: Int, ids: [Int32], logprobs: [Float], tails: [Float]) {
        self.count = count
        self.ids = ids
        self.logprobs = logprobs
        self.tails = tails
    }

    /// Whether all are numbers.
    package var areFinite: Bool { logprobs.areFinite && tails.areFinite }

    /// The tokens of one position.
    package func ids(at position: Int) -> ArraySlice<Int32> { ids[position * count..<(position + 1) * count] }

    /// Log q of the classes of one position, the tail's last.
    package func classes(at position: Int) -> [Double] {
        logprobs[position * count..<(position + 1) * count].map(Double.init) + [Double(tails[position])]
    }

    /// Whether the teacher finds no token more probable than this one; nil where its numbers are none.
    package func isMostProbable(_ id: Int32, at position: Int) -> Bool? {
        let places = position * count..<(position + 1) * count
        guard let largest = logprobs[places].max(), largest.isFinite else { return nil }
        return places.contains { ids[$0] == id && logprobs[$0] == largest }
    }

    /// Why this is not a teacher's distribution over a vocabulary at so many positions; nil where it may be.
    ///
    /// - Parameter count: the tokens that were asked for.
    package func flaw(positions: Int, count asked: Int, vocabularySize: Int32) -> String? {
        guard count == asked, ids.count == positions * count, logprobs.count == ids.count, tails.count == positions
        else {
            return "\(ids.count) listed tokens and \(tails.count) tails for \(positions) tokens with \(asked) of each"
        }
        for position in 0..<positions {
            let listed = ids[position * count..<(position + 1) * count]
            var previous: Int32 = -1
            for id in listed {
                guard id > previous, id < vocabularySize else {
                    return "its listed token ids are not ascending ones of a vocabulary of \(vocabularySize)"
                }
                previous = id
            }
        }
        guard areFinite else { return nil }
        for position in 0..<positions {
            let mass = classes(at: position).reduce(0) { $0 + probability($1) }
            guard abs(mass - 1) <= Self.massTolerance else {
                return "the probabilities of its classes add up to \(mass)"
            }
        }
        return nil
    }

    /// How far from 1 probabilities may add up that were rounded on their way.
    private static let massTolerance = 0.01
}

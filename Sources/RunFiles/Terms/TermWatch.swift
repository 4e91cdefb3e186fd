/// What is seen of a run's term from outside: its number, and the bytes of its record.
package struct TermSight: Sendable, Hashable {
    package let number: Int
    package let bytes: [UInt8]

    package init(number: Int, bytes: [UInt8]) {
        self.number = number
        self.bytes = bytes
    }

    /// Whether these are bytes of the record that was seen, whatever sign of life they have.
    func isSameHolder(asIn other: [UInt8]) -> Bool { identity(bytes) == identity(other) }

    /// The lines that stay as they are: what the file is, its holder and the term.
    private func identity(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        Array(bytes.split(separator: UInt8(ascii: "\n"), maxSplits: 3, omittingEmptySubsequences: false).prefix(3))
    }

    /// What the holder says; nil while that cannot be told, as when one is just taking the run over.
    package var record: TermRecord? { TermRecord(bytes).flatMap { $0.term == number ? $0 : nil } }
}

/// When a term may be taken over: the judgement of who watches it.
///
/// A state machine: what is seen and the time of the watcher's own monotonic clock go in. No two machines' clocks are
/// compared.
package struct TermWatch: Sendable, Hashable {
    package enum Verdict: Sendable, Equatable {
        /// The holder lives, or may.
        case wait
        case take
        /// The holder has ended its term, and the run does not go on by itself.
        case over(TermRecord)
    }

    private let after: Duration
    private var seen: TermSight?
    private var lookedAt: Duration?
    /// How long the term has given no sign, as far as this process looked.
    package private(set) var silence: Duration = .zero

    /// - Parameter after: the silence after which a term is taken over; the holder's own counts when it is longer.
    package init(after: Duration) { self.after = after }

    /// - Parameter isDead: whether the holder's process is known to be gone.
    package mutating func saw(_ sight: TermSight, isDead: Bool, now: Duration) -> Verdict {
        let record = sight.record
        let after = max(after, record?.after ?? .zero)
        if sight == seen {
            // Time for which this process itself stood still is not the holder's silence.
            silence += min(now - (lookedAt ?? now), TermTimes(after: after).renewal * 2)
        } else {
            seen = sight
            silence = .zero
        }
        lookedAt = now
        switch record?.state {
        case .handedOver: return .take
        case .stopped, .failed, .finished: return record.map { .over($0) } ?? .wait
        case .held where isDead: return .take
        case .held, nil: return silence >= after ? .take : .wait
        }
    }
}

/// The times of a term that follow from the silence after which it is taken over.
package struct TermTimes: Sendable, Hashable {
    package let after: Duration

    package init(after: Duration) { self.after = after }

    /// Between two signs of life.
    package var renewal: Duration { min(.seconds(1), after / 10) }
    /// How old its last sign of life may be for a holder to go on: shorter than the silence by enough for clocks that do
    /// not run alike.
    package var deadline: Duration { after * 2 / 3 }
}

/// Whether a term still holds: the holder's own judgement, by a monotonic clock that goes on while its machine sleeps.
package struct TermClock: Sendable, Hashable {
    private let deadline: Duration
    private var renewedAt: Duration

    package init(_ times: TermTimes, begunAt: Duration) {
        deadline = times.deadline
        renewedAt = begunAt
    }

    /// - Parameter begunAt: when the renewal was begun, not when it was done: others may have seen it from then on.
    package mutating func renewed(begunAt: Duration) { renewedAt = max(renewedAt, begunAt) }

    package func age(at now: Duration) -> Duration { now - renewedAt }

    package func isOver(at now: Duration) -> Bool { age(at: now) >= deadline }
}

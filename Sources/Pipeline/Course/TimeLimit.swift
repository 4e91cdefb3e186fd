/// When a learner has to stop in order to have its last checkpoint on disk at a deadline.
///
/// A stop lets the step that is being trained end and then saves. Both take as long as the longest so far, with half of
/// it to spare; and where checkpoints are copied to a second place the last one is waited for.
package struct TimeLimit: Sendable, Equatable {
    /// Time the process may take from its start.
    package let limit: Duration
    private var training: Duration = .zero
    private var saving: Duration?
    private var copying: Duration = .zero

    package init(_ limit: Duration) { self.limit = limit }

    /// Leaves time for the last checkpoint to be copied to its second place; at most a quarter of all.
    package mutating func leave(forCopy time: Duration) { copying = min(time, limit / 4) }

    /// What is left of the limit `elapsed` after the start, but for what the process needs to end.
    package func left(after elapsed: Duration) -> Duration { max(.zero, limit - elapsed - ending) }

    private var ending: Duration { min(.seconds(10), limit / 10) }

    /// A step was trained in this time.
    package mutating func trained(in time: Duration) { training = max(training, time) }

    /// A checkpoint was saved in this time.
    package mutating func saved(in time: Duration) { saving = max(saving ?? .zero, time) }

    /// The time since the start of the process at which to stop.
    package var stopAt: Duration {
        // Until a checkpoint was written, half a minute is assumed; processes need a while to end, too.
        let saving = saving ?? min(.seconds(30), limit / 4)
        return max(.zero, limit - (training + saving) * 3 / 2 - copying - ending)
    }
}

extension TimeLimit {
    /// Reads `90m`, `3600s`, `1.5h`, `3600` (seconds), `1:30:00` or `30:00`; nil for anything else, zero included.
    package init?(_ text: String) {
        let seconds: Double?
        if text.contains(":") {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { part in
                part.allSatisfy { ("0"..."9").contains($0) } && part.count <= 6 ? Int(part) : nil
            }
            guard (2...3).contains(parts.count), !parts.contains(nil) else { return nil }
            let numbers = parts.compactMap { $0 }
            guard numbers.dropFirst().allSatisfy({ $0 < 60 }) else { return nil }
            seconds = Double(numbers.reduce(0) { $0 * 60 + $1 })
        } else {
            let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
            let unit = text.last.flatMap { units[$0] }
            let number = unit == nil ? text[...] : text.dropLast()
            guard number.allSatisfy({ ("0"..."9").contains($0) || $0 == "." }) else { return nil }
            seconds = Double(number).map { $0 * (unit ?? 1) }
        }
        guard let seconds, seconds > 0, seconds <= 1e9 else { return nil }
        self.init(.milliseconds(Int(seconds * 1000)))
    }
}

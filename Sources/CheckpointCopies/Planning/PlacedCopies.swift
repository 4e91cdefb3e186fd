import RunFiles

/// What is at a place that may be ours: copies, whole or not.
package struct PlacedCopies: Sendable, Equatable {
    /// Steps with a whole copy.
    package var complete: Set<Int>
    /// Names of copies that never became whole: of ours by their form.
    package var partial: Set<String>

    package init(complete: Set<Int> = [], partial: Set<String> = []) {
        self.complete = complete
        self.partial = partial
    }

    /// Begins the name of a copy that is under way.
    package static let partialPrefix = ".part-"

    /// Takes a name that is at the place; what is none of ours is left out.
    /// - Parameter isComplete: whether there is a ``CopyManifest`` below it.
    package mutating func add(_ name: String, isComplete: Bool) {
        if let step = Checkpoint.step(ofName: name) {
            if isComplete { complete.insert(step) } else { partial.insert(name) }
        } else if name.hasPrefix(Self.partialPrefix),
            Checkpoint.step(ofName: String(name.dropFirst(Self.partialPrefix.count))) != nil
        {
            partial.insert(name)
        }
    }

    /// Whole copies, the newest first.
    package var newestFirst: [Int] { complete.sorted(by: >) }

    /// Names of what is removed once the copy of `newest` is whole: what never became whole, then old copies, the oldest
    /// first. Of whole ones the last `keepLast` stay, those of every `keepEvery`-th step, and `newest`.
    package func removals(newest: Int, _ schedule: CheckpointSchedule) -> [String] {
        let old = complete.sorted().dropLast(max(1, schedule.keepLast)).filter { step in
            step != newest && (schedule.keepEvery == 0 || step % Int(schedule.keepEvery) != 0)
        }
        return partial.sorted() + old.map { Checkpoint.name(step: $0) }
    }
}

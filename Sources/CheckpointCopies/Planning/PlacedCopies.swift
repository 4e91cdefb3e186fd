import RunFiles

/// What is at a place that may be ours: copies, whole or not.
package struct PlacedCopies: Sendable, Equatable {
    /// Steps with a whole copy.
    package var complete: Set<Int>
    /// Steps with a whole copy that was to be replaced by another.
    package var replaced: Set<Int>
    /// Names of copies that never became whole: of ours by their form.
    package var partial: Set<String>

    package init(complete: Set<Int> = [], replaced: Set<Int> = [], partial: Set<String> = []) {
        self.complete = complete
        self.replaced = replaced
        self.partial = partial
    }

    /// Begins the name of a copy that is under way, and of one that is being replaced.
    package static let partialPrefix = ".part-", replacedPrefix = ".old-"

    /// Takes a name that is at the place; what is none of ours is left out.
    /// - Parameter isComplete: whether there is a ``CopyManifest`` below it.
    package mutating func add(_ name: String, isComplete: Bool) {
        if let step = Checkpoint.step(ofName: name) {
            if isComplete { complete.insert(step) } else { partial.insert(name) }
        } else if name.hasPrefix(Self.partialPrefix),
            Checkpoint.step(ofName: String(name.dropFirst(Self.partialPrefix.count))) != nil
        {
            partial.insert(name)
        } else if name.hasPrefix(Self.replacedPrefix),
            let step = Checkpoint.step(ofName: String(name.dropFirst(Self.replacedPrefix.count)))
        {
            if isComplete { replaced.insert(step) } else { partial.insert(name) }
        }
    }

    /// A whole copy.
    package struct Copy: Sendable, Equatable {
        package var step: Int
        /// What it is called at the place.
        package var name: String
    }

    /// Whole copies in the order in which they are gone on from: the newest up to step `latest` first; then those of later
    /// steps, which the run has made before it went back to an earlier checkpoint.
    /// - Parameter latest: the step that was copied last; nil: nobody knows.
    package func inOrder(latest: Int?) -> [Copy] {
        let all = steps.sorted(by: >)
        let steps = latest.map { latest in all.filter { $0 <= latest } + all.filter { $0 > latest } } ?? all
        return steps.flatMap { step in
            let name = Checkpoint.name(step: step)
            return (complete.contains(step) ? [Copy(step: step, name: name)] : [])
                + (replaced.contains(step) ? [Copy(step: step, name: Self.replacedPrefix + name)] : [])
        }
    }

    /// Steps with a whole copy under either name.
    private var steps: Set<Int> { complete.union(replaced) }

    /// Whether a whole copy of a step is there, under either name.
    package func has(_ step: Int) -> Bool { steps.contains(step) }

    /// Steps whose copies are of a branch that a run has left, when it went back to an earlier checkpoint: it has made none
    /// of them since it began, and began before them.
    /// - Parameters:
    ///   - begun: the step that the run's process began with; nil: it had no checkpoint.
    ///   - copied: what the process has copied.
    package func left(begunAt begun: Int?, copied: Set<Int>) -> Set<Int> {
        steps.filter { $0 > begun ?? -1 && !copied.contains($0) }
    }

    /// The step that ``LatestCopy`` names while a step is being copied; nil: it stays as it is.
    ///
    /// Without a branch that was left it is that step itself: the copy counts from the moment on that it is whole, and
    /// until then those of earlier steps do. But copies of a branch that was left may have this very step, or earlier ones:
    /// then it is the newest of the run's own, and the step itself only once its copy is whole.
    /// - Parameter left: steps of a branch that was left.
    package func latest(until step: Int, left: Set<Int>) -> Int? {
        left.isEmpty ? step : steps.subtracting(left).max()
    }

    /// Names of what is removed once the copy of `newest` is whole: what never became whole or was replaced, then old copies, the
    /// oldest first. Of whole ones up to `newest` the last `keepLast` stay, and those of every `keepEvery`-th step. All
    /// that are of a branch that the run has left go: later steps, and those named.
    package func removals(newest: Int, left: Set<Int> = [], _ schedule: CheckpointSchedule) -> [String] {
        let own = complete.filter { $0 <= newest && ($0 == newest || !left.contains($0)) }.sorted()
        let old = own.dropLast(max(1, schedule.keepLast)).filter { step in
            step != newest && (schedule.keepEvery == 0 || step % Int(schedule.keepEvery) != 0)
        }
        return partial.sorted() + replaced.sorted().map { Self.replacedPrefix + Checkpoint.name(step: $0) }
            + (old + complete.subtracting(own)).sorted().map { Checkpoint.name(step: $0) }
    }
}

/// Takes finished checkpoints to a second place, beside the run that makes them.
package protocol CheckpointCopying: Sendable {
    /// Tells of a checkpoint that was written; returns at once.
    func saved(_ checkpoint: Checkpoint)
    /// How far the copies are.
    var report: CopyReport { get }
}

/// How far the copies of a run's checkpoints are.
package struct CopyReport: Sendable, Equatable {
    /// Step of the newest whole copy, and the seconds since it was made or found; nil: there is none.
    package var step: Int?
    package var age: Double?
    /// All of it in a line for a person.
    package var text: String

    package init(step: Int? = nil, age: Double? = nil, text: String) {
        self.step = step
        self.age = age
        self.text = text
    }
}

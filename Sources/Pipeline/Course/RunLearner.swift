/// Trains a run to its end: what a process needs of it, whoever makes the batches.
package protocol RunLearner: Actor {
    /// Ends the run after the step that is being trained, with a checkpoint.
    func stop(_ reason: String)
    /// Runs to the last step, or until stopped.
    func run() async throws -> LearnerOutcome
}

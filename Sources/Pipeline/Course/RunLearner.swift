/// Trains a run to its end: what a process needs of it, whoever makes the batches.
package protocol RunLearner: Actor {
    /// Ends the run after the step that is being trained, with a checkpoint.
    /// - Parameter handsOver: whether another learner is to go on, where the run has one.
    func stop(_ reason: String, handsOver: Bool)
    /// Runs to the last step, or until stopped.
    func run() async throws -> LearnerOutcome
}

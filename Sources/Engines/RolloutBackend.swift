import Distillation
import Wire

/// A student that samples: what a rollout worker needs of an engine.
///
/// It samples by itself, on threads or machines of its own, and tells of it in `events`; no method waits for what it
/// samples, so that who calls them is never deaf. One caller, one call at a time.
package protocol RolloutBackend: WeightTaking {
    /// Sequences sampled at once; the worker keeps about as many tasks here.
    var slots: Int { get }
    /// What happens to the tasks, for one reader at a time. It ends with an error when the engine cannot go on.
    var events: AsyncThrowingStream<SamplingEvent, any Error> { get }

    /// Queues tasks, never before there are weights of at least their `minimumVersion`.
    ///
    /// The tokens of a task depend on its prompt, its `sampling`, the weights, `seed`, and the sample number of its id,
    /// and on nothing else (neither on the group number nor on what is sampled beside it), where the engine is
    /// reproducible. Tasks of one group come together and share their prompt.
    func submit(_ tasks: [RolloutTask]) async throws

    /// Forgets tasks, whether queued or under way; `SamplingEvent.cancelled` tells when nothing of them comes any more.
    func cancel(_ items: Set<WorkItem>) async
}

/// What a sampler tells of its tasks, in the order in which it happens.
package enum SamplingEvent: Sendable {
    /// Tokens were drawn: leases of what is under way may be renewed.
    case progress
    /// Responses that ended, in any order, not that of their tasks.
    case completed([Trajectory])
    /// Nothing of these comes after this, unless they are submitted again.
    case cancelled(Set<WorkItem>)
}

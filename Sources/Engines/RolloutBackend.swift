import Distillation
import Wire

/// What a member says of its engine when it joins a run.
package protocol MemberBackend: Sendable {
    /// Identifies everything that maps text to ids; the learner refuses a worker whose tokenizer differs from its own.
    var tokenizerFingerprint: String { get }
    /// Equal where log-probabilities have the same bits; empty: not known. The learner warns of a member that differs.
    var arithmetic: String { get }
}

extension MemberBackend {
    package var arithmetic: String { "" }
}

/// A student that samples: what a rollout worker needs of an engine.
///
/// Conformers are actors on a thread of their own, so that sampling never blocks Swift's cooperative pool. One worker
/// calls them, one call at a time.
package protocol RolloutBackend: MemberBackend {
    /// Bytes of a weight snapshot of this model; nil takes any size.
    var weightByteCount: Int? { get }
    /// Sequences sampled at once; the worker keeps about as many tasks here.
    var slots: Int { get }

    /// Replaces the weights. Sequences under way go on with the new ones, and their later tokens carry `version`.
    func replaceWeights(_ bytes: WeightBytes, elementType: String, version: UInt64) async throws

    /// Queues tasks, never before there are weights of at least their `minimumVersion`.
    ///
    /// The tokens of a task depend on its prompt, its `sampling`, the weights, `seed`, and the sample number of its id,
    /// and on nothing else: neither on the group number nor on what is sampled beside it. Tasks of one group come
    /// together and share their prompt.
    func submit(_ tasks: [RolloutTask]) async throws

    /// Works for a bounded time (such as one token of every active sequence) and returns what was completed.
    func advance() async throws -> [Trajectory]

    /// Forgets tasks, whether queued or under way.
    func cancel(_ items: Set<WorkItem>) async
}

/// A teacher that grades: what a scorer needs of an engine. An actor on a thread of its own.
package protocol ScoringBackend: MemberBackend {
    /// Log-probabilities in nats of the response tokens `ids[promptCount...]` of every task, at temperature 1.
    ///
    /// Tasks of one group are neighbours.
    func score(_ tasks: [ScoreTask]) async throws -> [[Float]]
}

import Distillation
import Wire

/// A task that is done under a lease and answered by a result.
package protocol LeasedWork: Sendable {
    associatedtype Output: Sendable
    var item: WorkItem { get }
    var leaseID: UInt64 { get }

    static func item(of output: Output) -> WorkItem
    /// Elements of the largest array that the output has a part of.
    static func size(of output: Output) -> Int
    /// The tasks in a grant; nil for every other message.
    static func tasks(in message: Message) -> [Self]?
    static func message(delivering outputs: [Output], epoch: UInt64) -> Message
}

extension RolloutTask: LeasedWork {
    package var item: WorkItem { WorkItem(id: id, kind: kind) }

    package static func item(of output: Trajectory) -> WorkItem { WorkItem(id: output.id, kind: output.kind) }

    package static func size(of output: Trajectory) -> Int { output.responseIDs.count }

    package static func tasks(in message: Message) -> [RolloutTask]? {
        guard case .rolloutGrant(let grant) = message else { return nil }
        return grant.groups.flatMap(\.tasks)
    }

    package static func message(delivering outputs: [Trajectory], epoch: UInt64) -> Message {
        .trajectories(Trajectories(trajectories: outputs, epoch: epoch))
    }
}

extension ScoreTask: LeasedWork {
    package var item: WorkItem { WorkItem(id: id, kind: kind) }

    package static func item(of output: Score) -> WorkItem { WorkItem(id: output.id, kind: output.kind) }

    package static func size(of output: Score) -> Int {
        max(output.logprobs.count, output.top?.ids.count ?? 0, output.hidden?.numbers.count ?? 0)
    }

    package static func tasks(in message: Message) -> [ScoreTask]? {
        guard case .scoreGrant(let grant) = message else { return nil }
        return grant.tasks
    }

    package static func message(delivering outputs: [Score], epoch: UInt64) -> Message {
        .scores(Scores(scores: outputs, epoch: epoch))
    }
}

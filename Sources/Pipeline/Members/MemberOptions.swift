import CoreMetrics
import Engines
import Exchange
import Wire
import Wording

/// How a member presents itself and how long it waits.
package struct MemberOptions: Sendable {
    /// Unique among the processes of a run, such as `rollout-1`.
    package var name: String
    /// Random, drawn when the process started.
    package var incarnation: UInt64
    /// How long to wait for a learner that does not answer.
    package var patience: Duration
    package var processID: UInt64
    /// What a learner that does not have its files needs to know of the teacher that a scorer holds.
    package var teacher: ModelDescription?
    /// Whether a rollout worker on another machine takes differences of weights, for which it keeps a version of them.
    package var takesDifferences = true
    /// Whether a rollout worker ends what it has begun before it takes new weights into use.
    package var finishesSequences = false
    /// Identity of the environment in which a rollout worker plays episodes; nil: it samples responses of one turn.
    package var environment: String?
    /// Where the member's own numbers are told, such as for Prometheus; nowhere unless given.
    package var metrics: any MetricsFactory = NOOPMetricsHandler.instance

    package init(
        name: String, incarnation: UInt64 = .random(in: 1 ... .max), patience: Duration = .seconds(60),
        processID: UInt64 = 0
    ) {
        self.name = name
        self.incarnation = incarnation
        self.patience = patience
        self.processID = processID
    }

    /// Names this process among all that ever connect: what a transport is opened with.
    package var identity: String { "\(name)-\(String(incarnation, radix: 16))" }
}

/// A member cannot go on.
package struct MemberError: MessageError, Equatable {
    package var message: String

    package init(_ message: String) { self.message = message }
}

extension MemberEnd {
    /// Exit status: 0 after the learner's shutdown, 2 where another try would end in the same way, 1 otherwise.
    package var exitCode: Int32 {
        switch self {
        case .shutdown: 0
        case .rejected(let reject): reject.code == .invalidRequest || reject.code == .nameInUse ? 1 : 2
        case .unreachable: 1
        case .stopped: 143
        }
    }

    /// One line for a person; nil for an orderly end.
    package var failure: String? {
        switch self {
        case .shutdown, .stopped: nil
        case .rejected(let reject): "the learner refused this process: \(reject.message)"
        case .unreachable(let time):
            "the learner has not answered for \(time.components.seconds) s: is it running, and is the endpoint right? "
                + "(pipeline.connect_timeout_s sets how long to wait)"
        }
    }
}

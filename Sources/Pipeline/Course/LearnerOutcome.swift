import Distillation
import Exchange
import RunFiles

/// How a learner's run ended.
package struct LearnerOutcome: Sendable, Equatable {
    /// How a run ended.
    package enum End: Sendable, Equatable {
        /// Every step is done.
        case completed
        /// The target is reached.
        case reached(String)
        /// Asked to stop; the checkpoint has all completed steps.
        case stopped(String)

        /// Whether it was asked to stop, and can go on.
        package var isStop: Bool { if case .stopped = self { true } else { false } }

        /// Why, in a few words.
        package var reason: String {
            switch self {
            case .completed: "all steps are done"
            case .reached(let target): target
            case .stopped(let reason): reason
            }
        }
    }

    package var end: End
    /// Whether another learner is to go on at once: members were not told to end.
    package var handsOver = false
    /// Completed steps.
    package var version: UInt64
    /// The newest checkpoint, nil when there is none.
    package var checkpoint: Checkpoint?
    /// Why the last checkpoint is missing.
    package var checkpointFailure: String?
    /// The evaluations of the first weights and of the last ones that were evaluated.
    package var before: EvaluationRecord?
    package var after: EvaluationRecord?
    package var tokens: TokenCounts
    package var cost: RunCost?
    /// Teachers with passes that are missing in `cost`, sorted.
    package var uncountedTeachers: [String]
    package var counters: ExchangeCounters
    /// Seconds of this process's part of the run.
    package var seconds: Double
}

/// An evaluation that a run's summary shows.
package struct EvaluationRecord: Sendable, Equatable, Codable {
    package var step: UInt64
    package var metrics: EvaluationMetrics
    /// The response to the first held-out prompt.
    package var exampleIDs: [Int32]

    package init(step: UInt64, metrics: EvaluationMetrics, exampleIDs: [Int32]) {
        self.step = step
        self.metrics = metrics
        self.exampleIDs = exampleIDs
    }
}

/// A learner cannot start or go on.
package struct LearnerError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of failure.
    package enum Code: Sendable { case invalidCheckpoint, changedRun, badStep, transport }
    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}

import Distillation
import Locking
import Logging
import Tokenizers

/// Judges responses by the verifiers of their prompts.
package struct ResponseJudge: Sendable {
    private let decode: @Sendable ([Int32]) -> String
    private let logger: Logger
    private let complained = Locked(false)

    /// - Parameter decode: ids to text, special tokens left out.
    package init(logger: Logger, decode: @escaping @Sendable ([Int32]) -> String) {
        self.decode = decode
        self.logger = logger
    }

    package init(_ tokenizer: Tokenizer, logger: Logger) {
        self.init(logger: logger) { tokenizer.decode($0, skipSpecialTokens: true) }
    }

    /// The trajectories with the verdicts on them; without a verifier there is none. An episode is judged by its
    /// environment where that gives a reward, else by its last turn; one whose environment failed is worth nothing. Blocks
    /// while it works.
    /// - Parameter prompts: of each trajectory.
    package func judged(_ trajectories: [ScoredTrajectory], prompts: [Prompt]) -> [ScoredTrajectory] {
        zip(trajectories, prompts).map { scored, prompt in
            var scored = scored
            if let reward = scored.trajectory.reward {
                scored.verdict = Verdict(reward: reward, passed: reward >= 1)
                return scored
            }
            guard let check = prompt.check else { return scored }
            guard scored.trajectory.finishReason != .environment else {
                scored.verdict = Verdict(reward: 0, passed: false)
                return scored
            }
            let verdict = check.verdict(on: decode(Array(scored.trajectory.lastTurn)))
            scored.verdict = verdict
            if let flaw = verdict.flaw { complain(flaw) }
            return scored
        }
    }

    /// Once: a pattern that gives up does so again and again.
    private func complain(_ flaw: String) {
        let first = complained.withLock { complained in
            defer { complained = true }
            return !complained
        }
        if first { logger.warning("a response could not be judged and counts as wrong: \(flaw)") }
    }
}

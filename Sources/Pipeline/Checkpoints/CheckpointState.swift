import Distillation
import Exchange
import Files
import Foundation

/// `state.json` of a checkpoint: everything a run goes on from that is not weights or optimizer.
package struct CheckpointState: Sendable, Equatable, Codable {
    /// Layout of this file.
    package var format = 1
    /// Completed steps; the prompt cursor is `step * promptsPerStep`, the version of the weights is `step`.
    package var step: UInt64
    /// First group that is not trained.
    package var cursor: UInt64
    package var seed: UInt64
    package var promptsPerStep: Int
    package var samplesPerPrompt: Int
    /// Identifies the training prompts: the order of a run is over these.
    package var promptsDigest: String
    package var tokenizerFingerprint: String
    /// The ledger's counts when the step ended.
    package var tokens: TokenCounts
    /// The line of this step, when its evaluation was still under way.
    package var pending: StepMetrics?
    /// Steps skipped since the last that was trained; nil: none.
    package var badSteps: Int?
    package var before: EvaluationRecord?
    package var after: EvaluationRecord?
    /// Operations of the steps done.
    package var cost: RunCost?
    /// Teachers with passes that are missing in `cost`, sorted; nil: none.
    package var uncountedTeachers: [String]?

    package static let fileName = "state.json"
    /// The configuration that made the checkpoint, beside it.
    package static let configurationName = "run.yaml"

    package init(
        step: UInt64, plan: RunPlan, tokenizerFingerprint: String, tokens: TokenCounts, pending: StepMetrics?,
        badSteps: Int = 0, before: EvaluationRecord?, after: EvaluationRecord?, cost: RunCost? = nil,
        uncountedTeachers: Set<String> = []
    ) {
        self.step = step
        cursor = step * UInt64(plan.promptsPerStep)
        seed = plan.seed
        promptsPerStep = plan.promptsPerStep
        samplesPerPrompt = plan.samplesPerPrompt
        promptsDigest = Prompt.digest(plan.prompts)
        self.tokenizerFingerprint = tokenizerFingerprint
        self.tokens = tokens
        self.pending = pending
        self.badSteps = badSteps == 0 ? nil : badSteps
        self.before = before
        self.after = after
        self.cost = cost
        self.uncountedTeachers = uncountedTeachers.isEmpty ? nil : uncountedTeachers.sorted()
    }

    /// Writes the file into a checkpoint's folder.
    package func write(to folder: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let text = String(decoding: try encoder.encode(self), as: UTF8.self)
        try FileTree.write(text, to: "\(folder)/\(Self.fileName)")
    }

    /// Reads and checks the file of a checkpoint's folder.
    package static func read(from folder: String) throws(LearnerError) -> CheckpointState {
        let path = "\(folder)/\(fileName)"
        let text: String
        do { text = try FileTree.read(path, limit: 1 << 24) } catch {
            throw LearnerError(
                .invalidCheckpoint,
                "\(path): it cannot be read: \(error.reasonText); remove this checkpoint to use an earlier one")
        }
        return try parse(text, path: path)
    }

    /// Reads and checks the text of a file; `path` names it in errors.
    package static func parse(_ text: String, path: String) throws(LearnerError) -> CheckpointState {
        let state: CheckpointState
        do {
            state = try JSONDecoder().decode(Self.self, from: Data(text.utf8))
        } catch {
            let reason = (error as? DecodingError).map(Self.reason) ?? error.localizedDescription
            throw LearnerError(.invalidCheckpoint, "\(path): \(reason); remove this checkpoint to use an earlier one")
        }
        guard state.format == 1 else {
            throw LearnerError(
                .invalidCheckpoint, "\(path): format \(state.format) is of another opd, this one reads format 1")
        }
        // Numbers of a file that anything may have written: products and sums of them can overflow.
        guard state.step > 0, state.tokens.balances, let prompts = UInt64(exactly: state.promptsPerStep),
            case let (cursor, overflow) = state.step.multipliedReportingOverflow(by: prompts), !overflow,
            state.cursor == cursor
        else {
            throw LearnerError(.invalidCheckpoint, "\(path): the counts in it do not add up; use an earlier checkpoint")
        }
        return state
    }

    private static func reason(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "'\(key.stringValue)' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "'\(context.codingPath.map(\.stringValue).joined(separator: "."))' has the wrong type"
        default: "it is not JSON"
        }
    }

    /// The last step whose line of `metrics.jsonl` was written before this checkpoint: what a resumed run keeps of it.
    package var lastRecordedStep: UInt64 { pending == nil ? step : step - 1 }

    /// Refuses to continue a run with what would make it another run.
    package func check(continuedBy plan: RunPlan, tokenizerFingerprint: String) throws(LearnerError) {
        func refuse(_ what: String, _ theirs: some Equatable, _ ours: some Equatable) -> LearnerError {
            LearnerError(
                .changedRun,
                "\(what) is \(ours) now, but the checkpoint of step \(step) was made with \(theirs); "
                    + "change it back, or start another run")
        }
        if seed != plan.seed { throw refuse("seed", seed, plan.seed) }
        if promptsPerStep != plan.promptsPerStep {
            throw refuse("data.prompts_per_step", promptsPerStep, plan.promptsPerStep)
        }
        if samplesPerPrompt != plan.samplesPerPrompt {
            throw refuse("data.samples_per_prompt", samplesPerPrompt, plan.samplesPerPrompt)
        }
        let digest = Prompt.digest(plan.prompts)
        if promptsDigest != digest { throw refuse("the digest of data.prompts", promptsDigest, digest) }
        if self.tokenizerFingerprint != tokenizerFingerprint {
            throw refuse("the student's tokenizer", self.tokenizerFingerprint, tokenizerFingerprint)
        }
        if step > plan.steps { throw refuse("training.steps", "\(step) steps done", plan.steps) }
    }
}

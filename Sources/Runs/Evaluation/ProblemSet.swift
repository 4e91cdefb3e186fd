import Configuration
import Distillation
import Engines
import Templates
import Tokenizers
import Wording

/// Problems as a model reads them: rendered and tokenised, each with what judges its responses, or all without.
package struct ProblemSet: Sendable {
    /// One problem.
    package struct Item: Sendable {
        package var promptIDs: [Int32]
        package var conversation: Conversation
        /// What judges responses; nil where they are not judged.
        package var check: AnswerCheck?
    }

    package var items: [Item]
    package var stopTokenIDs: [Int32]
    /// Longest response that is asked for.
    package var maxTokens: Int
    let tokenizer: Tokenizer

    /// Reads held-out problems of a generated task, or a prompt file.
    /// - Parameters:
    ///   - name: a task such as `arithmetic:digits=2`, or a path.
    ///   - count: problems to take; nil takes 200 of a task, all of a file.
    ///   - template: chat template by name; `auto`: the model's own.
    ///   - needsVerifiers: whether the prompts of a file must have verifiers; else all or none must.
    ///   - maxTokens: nil: what the task's longest response takes, or 256 for a file, or what fits.
    /// - Throws: `UsageError`, `ConfigurationError` for what the user must mend.
    package init(
        _ name: String, for model: ModelDescription, count: Int?, seed: UInt64, template: String = "auto",
        needsVerifiers: Bool = true, maxTokens: Int? = nil
    ) throws {
        guard let reading = model.text else {
            throw UsageError("the tokenizer of \(model.name) must be on this machine; give its folder")
        }
        let tokenizer = reading.tokenizer, template = try reading.templates.template(named: template)
        var longest = 256
        let problems: [(conversation: Conversation, check: AnswerCheck?)]
        if ExerciseGenerator.isTask(name) {
            let task = try ExerciseGenerator.named(name)
            longest = task.longest.response + 1
            problems = try task.drawn(.heldout, seed: seed, count: count ?? 200).map {
                ($0.chat, $0.check)
            }
        } else {
            let prompts = try PromptFile.read(name, teachers: [], defaultTeacher: nil)
            let isJudged = needsVerifiers || prompts.contains { $0.check != nil }
            problems = try prompts.prefix(count ?? prompts.count).enumerated().map { index, prompt in
                guard prompt.check != nil || !isJudged else {
                    throw UsageError(
                        "\(name): prompt \(index + 1) has no 'verifier', which an evaluation needs of every prompt"
                            + (needsVerifiers ? ", or else a --teacher" : " or of none"))
                }
                return (prompt.chat, prompt.check)
            }
        }
        let context = model.contextLength
        let items = try problems.map { conversation, check in
            let text = try template.render(conversation)
            let ids = try template.isPlain ? tokenizer.encodeAddingSpecialTokens(text) : tokenizer.encode(text)
            return Item(promptIDs: ids, conversation: conversation, check: check)
        }
        let room = context - (items.map(\.promptIDs.count).max() ?? 0)
        guard room >= maxTokens ?? 1, items.allSatisfy({ !$0.promptIDs.isEmpty }) else {
            throw UsageError(
                "\(name): the longest prompt leaves \(max(room, 0)) of the model's context of \(context) for "
                    + "\(maxTokens ?? 1) new tokens; lower --max-tokens or take a shorter task")
        }
        self.items = items
        self.tokenizer = tokenizer
        self.maxTokens = maxTokens ?? min(longest, room)
        stopTokenIDs = tokenizer.stopTokenIDs(endOfAnswer: template.endOfAnswer)
    }

    /// A response's text, special tokens left out.
    func text(of ids: [Int32]) -> String { tokenizer.decode(ids, skipSpecialTokens: true) }
}

extension ExerciseGenerator {
    /// The generator of the task of this name; what is wrong with it is the user's to mend.
    static func named(_ text: String) throws(UsageError) -> ExerciseGenerator {
        do {
            return try ExerciseGenerator(text)
        } catch {
            throw UsageError(error.message)
        }
    }

    /// Its exercises; that it has too few is the user's to mend.
    func drawn(_ split: ExerciseSplit, seed: UInt64, count: Int) throws(UsageError) -> [Exercise] {
        do {
            return try exercises(split, seed: seed, count: count)
        } catch {
            throw UsageError(error.message)
        }
    }
}

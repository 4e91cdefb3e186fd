import Configuration
import Engines
import Templates
import Tokenizers
import Tokens
import Wording

/// The teachers of a run that have other tokenizers than the student (`teachers.<label>.token_map: bytes`).
///
/// The learner renders their prompts with their templates, and cuts responses as their tokenizers do: so scorers and
/// servers grade ids as always, and know nothing of the student.
struct RetokenizedTeachers: Sendable {
    struct Teacher: Sendable {
        var tokenizer: Tokenizer
        var template: ChatTemplate
        /// Identity of its own templates, as its members tell it.
        var templateIdentity: String
        var stopTokenIDs: [Int32]
        var retokenizer: Retokenizer
    }

    /// Those of them whose tokenizers are not the student's after all are missing: they are as all others.
    private(set) var teachers: [String: Teacher] = [:]

    /// - Parameters:
    ///   - text, template: the student's.
    /// - Throws: `UsageError` for a teacher whose tokenizer is not here, or cannot be compared by bytes.
    init(
        _ configuration: RunConfiguration, _ models: DescribedModels, _ text: ModelText, _ template: ChatTemplate
    ) throws {
        let student = Retokenizer.Side(text.tokenizer, endOfAnswer: template.endOfAnswer)
        let fingerprint = text.tokenizer.fingerprint
        for (label, model) in configuration.usedTeachers.sorted(by: { $0.key < $1.key })
        where model.tokenMap == .bytes {
            let key = "teachers.\(label)"
            guard let own = models.teacherTexts[label] else {
                throw UsageError(
                    "\(key).token_map: bytes needs the teacher's tokenizer on the learner's machine; name its folder with "
                        + "\(key).tokenizer")
            }
            guard own.tokenizer.fingerprint != fingerprint else { continue }
            let template = try Self.template(of: own, configuration.data)
            let side = Retokenizer.Side(own.tokenizer, endOfAnswer: template.endOfAnswer)
            do {
                let retokenizer = try Retokenizer(
                    from: student, named: "the student's tokenizer (\(models.student.name))", to: side,
                    named: "the teacher's tokenizer (\(model.tokenizer ?? model.model))")
                teachers[label] = Teacher(
                    tokenizer: own.tokenizer, template: template, templateIdentity: own.templates.identity,
                    stopTokenIDs: side.stopTokenIDs, retokenizer: retokenizer)
            } catch {
                throw UsageError("\(key).token_map: bytes cannot be: \(error.message)")
            }
        }
    }

    /// A teacher is asked in its own form, but where prompts are meant to be plain texts.
    private static func template(of text: ModelText, _ data: RunConfiguration.Data) throws -> ChatTemplate {
        var data = data
        if data.template != "plain" { data.template = "auto" }
        return try text.templates.configured(by: data)
    }

    subscript(label: String) -> Teacher? { teachers[label] }

    /// What makes responses those of these teachers.
    var retokenizers: [String: @Sendable ([Int32], Bool) -> RetokenizedResponse] {
        teachers.mapValues { teacher in
            { teacher.retokenizer.retokenize($0, isCutOff: $1) }
        }
    }

    /// What a person should know of them, a line each.
    var notes: [String] {
        teachers.sorted { $0.key < $1.key }.map { label, teacher in
            let (count, total) = teacher.retokenizer.sharedTokens
            let missing = teacher.retokenizer.bytesWithoutToken
            return
                "teachers.\(label): its tokenizer is another than the student's, \(count) of whose \(total) tokens it "
                + "has, too; log-probabilities are compared wherever tokens of both end at the same byte"
                + (missing == 0
                    ? "" : "; it has no token of \(missing) bytes, and no grade for what only such tokens could say")
        }
    }
}

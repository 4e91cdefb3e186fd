import Configuration
import Engines
import JSON
import Logging
import Templates
import Tokenizers
import Wording

/// How the chat templates and stop tokens of a run's models agree, looked at before the run starts.
struct TemplateChecks {
    /// One line for a person.
    struct Finding {
        var level: Logger.Level
        var text: String
    }

    private(set) var findings: [Finding] = []
    /// Identities of teachers' templates that render all of their prompts as the student's does, by teacher.
    private(set) var equivalent: [String: String] = [:]

    /// - Parameters:
    ///   - prompts: those of all teachers, as the student's template renders them.
    ///   - retokenized: teachers that are asked in their own form.
    /// - Throws: `UsageError` where a teacher would read its prompts in another form than its own, and the configuration
    ///   names no template for both.
    init(
        _ configuration: RunConfiguration, _ models: DescribedModels, _ prompts: [RenderedPrompt],
        _ retokenized: RetokenizedTeachers
    ) throws {
        guard let student = models.student.text else { return }
        let template = try student.templates.configured(by: configuration.data)
        if template.origin == .missing {
            say(
                .notice,
                "\(models.student.name) has no chat template: its prompts are plain texts; name one with data.template")
        }
        sayOfBeginning(template, student.tokenizer)
        sayOfArguments(configuration.data, template)
        for (label, teacher) in retokenized.teachers { equivalent[label] = teacher.templateIdentity }
        for (label, teacher) in models.teachers.sorted(by: { $0.key < $1.key }) where retokenized[label] == nil {
            guard let text = teacher.text else { continue }
            let key = "teachers.\(label)"
            var data = configuration.data
            data.template = "auto"
            let own: ChatTemplate
            do {
                own = try text.templates.configured(by: data)
            } catch {
                say(.warning, "\(key): its own chat template cannot be used: \(error)")
                continue
            }
            sayOfStops(key, template, student.tokenizer, own, text.tokenizer)
            let isSame = own.canonicalText == template.canonicalText && own.isPlain == template.isPlain
            let asked = isSame ? [] : prompts.filter { $0.teacher == label }
            guard !isSame, let difference = Self.difference(asked, template, own) else {
                equivalent[label] = teacher.templateIdentity
                if !isSame {
                    say(
                        .notice,
                        "\(key): its chat template is not the student's, but renders its prompts of this run "
                            + "(\(asked.count)) alike")
                }
                continue
            }
            let line = "\(key): \(teacher.name) renders this run's prompts otherwise than the student: \(difference)"
            guard configuration.data.template != "auto" else {
                let own = template.origin == .missing ? "'plain': none, as the student" : "'default': the student's own"
                throw UsageError(line + "; name the template that both shall see with data.template (\(own))")
            }
            say(.warning, line)
        }
    }

    private mutating func say(_ level: Logger.Level, _ text: String) {
        findings.append(Finding(level: level, text: text))
    }

    // MARK: Arguments

    /// A variable that no template asks for changes nothing, which whoever sets it does not expect.
    private mutating func sayOfArguments(_ data: RunConfiguration.Data, _ template: ChatTemplate) {
        guard let text = data.templateArguments, let arguments = try? JSONValue.parse(text).object else { return }
        for argument in arguments.members where !template.mentions(argument.key) {
            say(
                .warning,
                "data.template_arguments: the chat template (\(template.reason)) has no variable '\(argument.key)'")
        }
    }

    // MARK: Beginnings

    /// What the tokenizer puts before texts and what the template writes first must not both stand there.
    private mutating func sayOfBeginning(_ template: ChatTemplate, _ tokenizer: Tokenizer) {
        guard !template.isPlain, let first = try? tokenizer.encode("", addSpecialTokens: true).first,
            let token = tokenizer.token(first),
            let text = try? template.render(Conversation(user: "question")),
            let ids = try? tokenizer.encode(text)
        else { return }
        if ids.first == first {
            say(
                .notice,
                "the chat template opens with \(token), which the tokenizer would add again: it stands there once")
        } else if case .builtIn(let name) = template.origin {
            say(
                .warning,
                "data.template: \(name) does not open with \(token), which the tokenizer puts before other texts")
        }
    }

    // MARK: Stop tokens

    /// A student that stops where its teacher does not is rewarded for never stopping.
    private mutating func sayOfStops(
        _ key: String, _ template: ChatTemplate, _ tokenizer: Tokenizer, _ own: ChatTemplate, _ theirs: Tokenizer
    ) {
        let student = tokenizer.stopTokenIDs(endOfAnswer: template.endOfAnswer)
        let teacher = theirs.stopTokenIDs(endOfAnswer: own.endOfAnswer)
        guard Set(student) != Set(teacher) else { return }
        func names(_ ids: [Int32], _ tokenizer: Tokenizer) -> String {
            // Not as the vocabulary spells them, where a line's end is one of the letters that stand for bytes.
            let texts = ids.map { tokenizer.decode([$0]) }
            return ids.isEmpty
                ? "nothing"
                : zip(ids, texts).map { $1.contains("\u{FFFD}") || $1.isEmpty ? "token \($0)" : JSONText.string($1) }
                    .joined(separator: " or ")
        }
        say(
            .warning,
            "\(key): its answers end with \(names(teacher, theirs)), the student's with \(names(student, tokenizer)); a "
                + "student that stops where its teacher does not is rewarded for never stopping: make eos_token_id of "
                + "both models' generation_config.json agree")
    }

    // MARK: Renderings

    /// Where a teacher's template first renders a prompt otherwise, for a person; nil: nowhere.
    private static func difference(
        _ prompts: [RenderedPrompt], _ student: ChatTemplate, _ teacher: ChatTemplate
    ) -> String? {
        for prompt in prompts {
            do {
                if let difference = difference(prompt.text, try teacher.render(prompt.chat)) {
                    return "\(prompt.name): \(difference)"
                }
            } catch {
                return "\(prompt.name): the teacher's template refuses it: \(error)"
            }
        }
        return student.isPlain == teacher.isPlain
            ? nil : "one has a chat template and the other has none"
    }

    /// What two texts have at the first place where they differ; nil: they are the same.
    static func difference(_ ours: String, _ theirs: String) -> String? {
        let (a, b) = (Array(ours.unicodeScalars), Array(theirs.unicodeScalars))
        guard a != b else { return nil }
        let place = zip(a, b).enumerated().first { $1.0 != $1.1 }?.offset ?? min(a.count, b.count)
        func shown(_ scalars: [Unicode.Scalar]) -> String {
            var text = String.UnicodeScalarView()
            text.append(contentsOf: scalars[place..<min(place + 40, scalars.count)])
            return JSONText.string(String(text)) + (place + 40 < scalars.count ? "..." : "")
        }
        return "from character \(place + 1) on it has \(shown(b)) where the student has \(shown(a))"
    }
}

import Distillation

/// What a person reads at the end of a run.
package struct RunSummary: Sendable, Equatable {
    package var name: String
    package var steps: Int
    package var seconds: Double
    /// Held-out reverse KL in nats a token; nil when there was no evaluation.
    package var klBefore: Double?
    package var klAfter: Double?
    /// Cross-entropy of given held-out responses in nats a token; nil where it was not measured.
    package var crossEntropyBefore: Double?
    package var crossEntropyAfter: Double?
    /// Share of held-out responses that passed their verifier; nil when none was judged.
    package var passBefore: Double?
    package var passAfter: Double?
    /// The teachers' share on the same prompts; nil when they were not asked.
    package var teacherPass: Double?
    package var tokensGenerated = 0
    package var tokensTrained = 0
    package var tokensDiscarded = 0
    /// Floating-point operations of the run; nil: not counted.
    package var cost: RunCost?
    /// Teachers whose operations are missing in `cost`, at least in part.
    package var uncountedTeachers: [String] = []
    /// Why the run has ended before its last step, such as that it has reached its target; nil: it has not.
    package var reached: String?
    /// Teachers that were not asked for the examples, since their files are elsewhere.
    package var unansweredTeachers: [String] = []
    /// Held-out prompts with the student's answers and the teacher's.
    package var examples: [Example] = []
    /// The generated task of the run, and a question of it to talk about; nil: none.
    package var task: String?
    package var question: String?
    /// Folder of the final model.
    package var modelPath: String
    /// Why the run ended early, such as "interrupted"; nil when it did all its steps.
    package var endedEarly: String?
    /// How `opd` is called from where the run was started.
    package var program = "opd"
    /// The command that continues a run that ended early; nil: there is none to tell.
    package var resumeCommand: String?

    /// An answer, and whether a verifier finds it right; nil: none judges.
    package struct Attempt: Sendable, Equatable {
        package var text: String
        package var isRight: Bool?

        package init(_ text: String, isRight: Bool? = nil) {
            self.text = text
            self.isRight = isRight
        }

        var marked: String { (isRight.map { $0 ? "✓ " : "✗ " } ?? "") + text }
    }

    /// A held-out prompt with its answers.
    package struct Example: Sendable, Equatable {
        package var prompt: String
        package var before: Attempt
        package var after: Attempt
        /// The teacher's answer; nil without a teacher.
        package var teacher: Attempt?
        /// The right answer, where it is known.
        package var answer: String?

        package init(prompt: String, before: Attempt, after: Attempt, teacher: Attempt?, answer: String? = nil) {
            self.prompt = prompt
            self.before = before
            self.after = after
            self.teacher = teacher
            self.answer = answer
        }
    }

    package init(name: String, steps: Int, seconds: Double, modelPath: String) {
        self.name = name
        self.steps = steps
        self.seconds = seconds
        self.modelPath = modelPath
    }

    /// The summary as lines of at most `width` columns; paths and commands are never broken.
    package func text(width: Int = 80) -> String {
        var lines = [
            "",
            "\(name): \(endedEarly ?? "done") after \(steps) steps in \(ProgressLine.duration(seconds))",
        ]
        if let klBefore, let klAfter {
            let change = klBefore > 0 ? " (\(ProgressLine.fixed((klAfter / klBefore - 1) * 100, 0))%)" : ""
            lines.append(
                "held-out KL to the teacher: \(ProgressLine.fixed(klBefore, 3)) before, \(ProgressLine.fixed(klAfter, 3)) after, nats a token\(change)"
            )
        }
        if let crossEntropyBefore, let crossEntropyAfter {
            let (before, after) = (
                ProgressLine.fixed(crossEntropyBefore, 3), ProgressLine.fixed(crossEntropyAfter, 3)
            )
            lines.append("held-out cross-entropy: \(before) before, \(after) after, nats a token")
        }
        if let passBefore, let passAfter {
            lines.append(
                "held-out problems right: \(ProgressLine.percent(passBefore)) before, \(ProgressLine.percent(passAfter)) after"
                    + (teacherPass.map { ", the teacher \(ProgressLine.percent($0))" } ?? ""))
        }
        lines.append("tokens: \(tokensGenerated) generated, \(tokensTrained) trained on, \(tokensDiscarded) discarded")
        if let cost {
            let parts = [("sampling", cost.sampling), ("scoring", cost.scoring), ("training", cost.training)]
            let text = parts.filter { $0.1 > 0 }.map { "\(Self.operations($0.1)) \($0.0)" }.joined(separator: ", ")
            let missing = uncountedTeachers.isEmpty ? "" : "; not known of \(uncountedTeachers.joined(separator: ", "))"
            if !text.isEmpty || !missing.isEmpty { lines.append("compute: \(text.isEmpty ? "0" : text)\(missing)") }
        }
        if let reached { lines.append("ended here: \(reached)") }
        if examples.first?.before.isRight == false {
            lines += ["", "held-out problems that it had wrong, answered without sampling:"]
        }
        for example in examples {
            lines.append("")
            for (label, body) in [
                ("prompt ", Optional(example.prompt)), ("before ", example.before.marked),
                ("after  ", example.after.marked), ("teacher", example.teacher?.marked), ("answer ", example.answer),
            ] { if let body { lines += Self.block(label: label, body: body, width: width) } }
        }
        if !examples.isEmpty, !unansweredTeachers.isEmpty {
            lines += ["", "no answers of \(unansweredTeachers.joined(separator: ", ")): not on this machine"]
        }
        lines += ["", "model:   \(modelPath)"]
        if let resumeCommand { lines.append("go on:   \(resumeCommand)") }
        if let task {
            lines.append("measure: \(program) eval \(modelPath) \(task) --count 1000")
        }
        // A rendered chat template, or what a shell would take apart, is nothing to paste.
        let plain = { (scalar: Unicode.Scalar) in
            scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
                || " +-*/=.,:?()".unicodeScalars.contains(scalar)
        }
        if let question, question.unicodeScalars.allSatisfy(plain) {
            lines.append("talk:    \(program) generate \(modelPath) --chat \"\(question)\" --temperature 0")
        } else {
            lines.append(
                "talk:    \(program) generate \(modelPath) --chat \"Why is the sky blue?\" --temperature 0.5")
        }
        return lines.joined(separator: "\n")
    }

    /// `1.24 TFLOP`: operations in steps of a thousand.
    static func operations(_ count: Double) -> String {
        var value = count
        for unit in ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"] {
            if value < 999.5 {
                return "\(ProgressLine.fixed(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0)) \(unit)"
            }
            value /= 1000
        }
        return "\(ProgressLine.fixed(value, 1)) EFLOP"
    }

    /// A labelled paragraph wrapped at words, with its later lines indented; line breaks and control characters become spaces.
    package static func block(label: String, body: String, width: Int) -> [String] {
        let clean = String(body.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : Character($0) })
        let indent = String(repeating: " ", count: label.count + 2)
        var lines: [String] = []
        var line = label + "  "
        var isEmpty = true
        for word in clean.split(separator: " ") {
            if !isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                (line, isEmpty) = (indent, true)
            }
            line += (isEmpty ? "" : " ") + word
            isEmpty = false
        }
        return lines + [line]
    }
}

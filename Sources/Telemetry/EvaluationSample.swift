import Distillation
import JSON

/// One response of an evaluation, as a line of a prompt file: what was asked, what came, and how it was judged.
package struct EvaluationSample: Sendable, Equatable {
    /// Role and text of every message that was answered.
    package var messages: [(role: String, content: String)]
    /// The response's text, special tokens left out.
    package var response: String
    package var check: AnswerCheck?
    package var judged: JudgedResponse

    package init(
        messages: [(role: String, content: String)], response: String, check: AnswerCheck?, judged: JudgedResponse
    ) {
        self.messages = messages
        self.response = response
        self.check = check
        self.judged = judged
    }

    /// The line. A response without text is null: there is nothing in it to imitate.
    package var jsonLine: String {
        var fields: [(name: String, json: String)] = []
        if messages.count == 1, messages[0].role == "user" {
            fields.append(("prompt", JSONText.string(messages[0].content)))
        } else {
            let list = messages.map {
                JSONText.object([("role", JSONText.string($0.role)), ("content", JSONText.string($0.content))])
            }
            fields.append(("messages", "[" + list.joined(separator: ", ") + "]"))
        }
        fields.append(("response", response.isEmpty ? "null" : JSONText.string(response)))
        if let check { fields += [("answer", JSONText.string(check.answer)), ("verifier", check.verifier.json)] }
        if let verdict = judged.verdict {
            fields += [("passed", verdict.passed ? "true" : "false"), ("reward", JSONText.number(verdict.reward))]
        }
        fields += [
            ("tokens", String(judged.tokens)),
            ("finish_reason", JSONText.string((judged.isTruncated ? FinishReason.length : .stop).rawValue)),
        ]
        if let kl = judged.teacherKL {
            fields.append(("teacher_kl", JSONText.number(kl / Double(max(judged.tokens, 1)))))
        }
        return JSONText.object(fields)
    }

    package static func == (a: EvaluationSample, b: EvaluationSample) -> Bool { a.jsonLine == b.jsonLine }
}

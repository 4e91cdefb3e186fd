import Distillation
import JSON

/// What an evaluation was of.
package struct EvaluationSubject: Sendable, Equatable {
    package var model: String
    package var task: String
    package var teacher: String?
    package var temperature: Double
    package var maxTokens: Int
    package var seed: UInt64
    package var seconds: Double

    package init(
        model: String, task: String, teacher: String?, temperature: Double, maxTokens: Int, seed: UInt64,
        seconds: Double
    ) {
        self.model = model
        self.task = task
        self.teacher = teacher
        self.temperature = temperature
        self.maxTokens = maxTokens
        self.seed = seed
        self.seconds = seconds
    }
}

extension EvaluationReport {
    /// The report as lines for a person.
    package func text(of subject: EvaluationSubject) -> String {
        func percent(_ value: Double) -> String { ProgressLine.fixed(100 * value, 1) + "%" }
        func shares(_ estimate: Estimate) -> String {
            "\(percent(estimate.mean))  (95%: \(percent(estimate.low)) to \(percent(estimate.high)))"
        }
        var rows: [(String, String)] = []
        if let passAt1 { rows.append(("pass@1", shares(passAt1))) }
        for (k, estimate) in passAtK { rows.append(("pass@\(k)", shares(estimate))) }
        if let rewardMean, passAt1?.mean != rewardMean {
            rows.append(("reward", ProgressLine.fixed(rewardMean, 4)))
        }
        if let kl = teacherKL {
            let bounds = "\(ProgressLine.fixed(kl.low, 4)) to \(ProgressLine.fixed(kl.high, 4))"
            rows.append(("KL", "\(ProgressLine.fixed(kl.mean, 4)) nats a token to the teacher  (95%: \(bounds))"))
        }
        rows.append(
            ("length", "\(ProgressLine.fixed(responseLengthMean, 1)) tokens, \(percent(truncatedFraction)) cut short"))
        rows.append(
            (
                "of",
                "\(problems) problems, \(samples) \(samples == 1 ? "sample" : "samples") each, "
                    + "in \(ProgressLine.fixed(subject.seconds, 1)) s"
            ))
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { $0 + ":" + String(repeating: " ", count: width - $0.count + 2) + $1 }.joined(separator: "\n")
    }

    /// The report as one JSON object.
    package func json(of subject: EvaluationSubject) -> String {
        func number(_ value: Double) -> String { JSONText.number(value) }
        func estimate(_ value: Estimate) -> String {
            JSONText.object([("mean", number(value.mean)), ("low", number(value.low)), ("high", number(value.high))])
        }
        let all = (passAt1.map { [(k: 1, estimate: $0)] } ?? []) + passAtK
        return JSONText.object([
            ("model", JSONText.string(subject.model)), ("task", JSONText.string(subject.task)),
            ("teacher", subject.teacher.map(JSONText.string) ?? "null"),
            ("temperature", number(subject.temperature)), ("max_tokens", String(subject.maxTokens)),
            ("seed", String(subject.seed)), ("problems", String(problems)), ("samples", String(samples)),
            ("pass_at", JSONText.object(all.map { (String($0.k), estimate($0.estimate)) })),
            ("reward_mean", rewardMean.map(number) ?? "null"), ("teacher_kl", teacherKL.map(estimate) ?? "null"),
            ("response_length_mean", number(responseLengthMean)), ("truncated_fraction", number(truncatedFraction)),
            ("tokens", String(tokens)), ("unjudged", String(flaws.count)), ("seconds", number(subject.seconds)),
        ])
    }
}

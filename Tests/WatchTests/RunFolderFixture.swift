import Distillation
import Foundation
import JSON
import RunFiles
import Telemetry
import Watch

/// A run folder that a test fills, removed with the last reference.
final class RunFolderFixture: Sendable {
    let run: RunFolder

    init() throws {
        run = RunFolder(FileManager.default.temporaryDirectory.appending(path: "opd-watch-\(UUID())").path)
        try FileManager.default.createDirectory(atPath: run.logs, withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: run.checkpoints, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: run.path) }

    func write(_ text: String, to path: String) throws { try Data(text.utf8).write(to: URL(filePath: path)) }

    static let configuration = """
        name: tiny
        student: { model: models/<student> }
        teachers: { default: { model: models/teacher } }
        data: { prompts: prompts.jsonl }
        training: { steps: 30 }

        """

    /// The line of a step whose numbers follow from its number.
    static func step(_ number: Int, evaluates: Bool = false) -> StepMetrics {
        var statistics = TrainingMetrics(BatchStatistics(), gradNorm: Double(number) / 3, learningRate: 1e-5)
        statistics.teacherKL = 1 / Double(number + 1)
        statistics.entropy = number % 2 == 0 ? nil : 0.5
        statistics.batchTokens = 10
        var metrics = StepMetrics(
            step: UInt64(number), version: UInt64(number), training: number == 0 ? nil : statistics,
            tokens: TokenCounts(
                generated: UInt64(12 * number), trained: UInt64(10 * number), discarded: UInt64(number),
                inFlight: UInt64(number)),
            timing: TimingMetrics(samplingTokensPerSecond: 100, stepSeconds: 0.5))
        if evaluates {
            metrics.evaluation = EvaluationMetrics([])
            metrics.evaluation?.teacherKL = 2 / Double(number + 1)
            metrics.evaluation?.passRate = Double(number) / 100
        }
        return metrics
    }

    static func lines(_ steps: some Sequence<Int>, evaluatesEvery every: Int = 10) -> String {
        steps.map { step($0, evaluates: $0 % every == 0).jsonLine + "\n" }.joined()
    }

    /// A line of `samples.jsonl`; `b` and `t` are written as they are given.
    static func sample(
        step: Int, prompt: String = "ask", response: String = "abc", ids: [Int32] = [1, 2, 3], kind: String = "train",
        b: [Float] = [-0.5, -0.25, -1], t: [Float] = [-1, -0.25, -3], ends: [Int]? = [1, 2, 3], extra: String = ""
    ) -> String {
        var line = """
            {"step": \(step), "id": "1.\(step)", "kind": "\(kind)", "teacher": "default", \
            "prompt": \(JSONText.string(prompt)), "response": \(JSONText.string(response)), "finish_reason": "stop", \
            "ids": \(JSONText.array(ids)), "student_logprobs": \(JSONText.array(b)), \
            "teacher_logprobs": \(JSONText.array(t)), "versions": [0,0,0]
            """
        if let ends { line += ", \"ends\": \(ends)" }
        return line + extra + "}\n"
    }

    func digest(_ bounds: RunDigest.Bounds = .init()) -> RunDigest { RunDigest(of: run, bounds: bounds) }

    /// The run as the page gets it.
    func document(_ bounds: RunDigest.Bounds = .init()) throws -> JSONValue {
        try JSONValue.parse(digest(bounds).document)
    }
}

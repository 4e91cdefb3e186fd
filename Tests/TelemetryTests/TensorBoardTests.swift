import Distillation
import Foundation
import JSON
import Telemetry
import TestSupport
import Testing

/// Event files, byte for byte as TensorBoard's own package writes them: the fixture is made by scripts/watch/events.py.
@Suite struct TensorBoardTests {
    private static let time = 1_795_000_000.25

    private static func fixture(_ name: String) throws -> [UInt8] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Fixtures/tensorboard")
        return Array(try Data(contentsOf: folder.appending(path: name)))
    }

    private static func record(
        _ group: UInt64, _ sample: UInt32, prompt: String, response: String, ids: [Int32], b: [Float], t: [Float],
        finish: FinishReason = .stop, verdict: Verdict? = nil
    ) -> SampleRecord {
        let trajectory = Trajectory(
            id: RolloutID(group: group, sample: sample), kind: .train, teacher: "default", promptIDs: [1],
            responseIDs: ids, behaviourLogprobs: b, policyVersions: PolicyVersions(repeating: 0, count: ids.count),
            finishReason: finish, temperature: 1)
        var scored = ScoredTrajectory(trajectory: trajectory, teacherLogprobs: t)
        scored.verdict = verdict
        return SampleRecord(step: 4, prompt: prompt, response: response, scored: scored)
    }

    private static let records = [
        record(
            3, 0, prompt: "2+2?\né", response: "4", ids: [5, 6, 7], b: [-0.5, -0.25, -1], t: [-1, -0.25, -8.5],
            verdict: Verdict(reward: 1, passed: true)),
        record(
            3, 1, prompt: "2+2?\né", response: "*5*\n\n", ids: [5, 6], b: [-3, -100], t: [-0.001, -0.1],
            finish: .length),
        record(4, 0, prompt: "3+3?", response: "6", ids: [8], b: [-0.125], t: [-0.0625]),
    ]

    private static var metrics: StepMetrics {
        var metrics = StepMetrics(
            step: 4, version: 4,
            training: TrainingMetrics(BatchStatistics(), gradNorm: 0.1 + 0.2, learningRate: 1e-7),
            tokens: TokenCounts(generated: 1 << 40, trained: 12, discarded: 3, inFlight: 0))
        metrics.training?.teacherKL = -0.7
        metrics.timing = TimingMetrics(samplingTokensPerSecond: 1234.5, stepSeconds: 1.0 / 3)
        metrics.cost = RunCost(sampling: 1e12, scoring: 0, training: 3e12)
        metrics.evaluation = EvaluationMetrics([])
        metrics.evaluation?.passRate = 0.5
        return metrics
    }

    @Test func bytesAreThoseOfTensorBoardsOwnWriter() throws {
        let folder = try TemporaryFolder()
        let writer = try TensorBoardWriter(folder: folder.path, resumingAfter: 3, name: "events") { Self.time }
        try writer.append(Self.metrics)
        try writer.append(Self.records)
        // The fixture was made from these very lines.
        let lines = String(decoding: try Self.fixture("metrics.jsonl"), as: UTF8.self)
        #expect(Self.metrics.jsonLine + "\n" == lines)
        let written = Array(try Data(contentsOf: URL(filePath: "\(folder.path)/tensorboard/events")))
        let expected = try Self.fixture("events")
        #expect(written.count == expected.count)
        let difference = zip(written, expected).enumerated().first { $0.element.0 != $0.element.1 }?.offset
        #expect(difference == nil, "they differ from byte \(difference ?? 0) on")
    }

    @Test func aRunThatGoesOnWritesAnotherFile() throws {
        let folder = try TemporaryFolder()
        _ = try TensorBoardWriter(folder: folder.path, resumingAfter: nil, name: "a.tfevents")
        _ = try TensorBoardWriter(folder: folder.path, resumingAfter: 7, name: "b.tfevents")
        let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder.path)/tensorboard").sorted()
        #expect(names == ["a.tfevents", "b.tfevents"])
        #expect(throws: TelemetryError.self, "nobody's file is written over") {
            try TensorBoardWriter(folder: folder.path, resumingAfter: nil, name: "a.tfevents")
        }
    }

    @Test func namesAreThatOfTensorBoardAndOfNoOther() throws {
        let folder = try TemporaryFolder()
        _ = try TensorBoardWriter(folder: folder.path, resumingAfter: nil)
        let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder.path)/tensorboard")
        #expect(names.count == 1 && names[0].hasPrefix("events.out.tfevents."))
    }
}

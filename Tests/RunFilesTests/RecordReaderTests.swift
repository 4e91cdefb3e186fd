import Distillation
import Foundation
import JSON
import RunFiles
import Telemetry
import Testing

@Suite struct RecordReaderTests {
    private func withFolder(_ body: (RunFolder) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("opd-records-\(UUID())").path
        let folder = try RunFolder.open(path, resume: false)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(folder)
    }

    /// Lines with and without each part.
    private var steps: [StepMetrics] {
        var trained = StepMetrics(
            step: 1, version: 1,
            training: TrainingMetrics(BatchStatistics(), gradNorm: 0.1 + 0.2, learningRate: 1e-7),
            tokens: TokenCounts(generated: 1 << 62, trained: 1 << 60, discarded: 3, inFlight: 4))
        trained.training?.teacherKL = 0.7
        trained.training?.clampFraction = 0.0625
        trained.training?.mismatchMean = 0.002
        trained.training?.mismatchMax = 0.5
        trained.training?.rewardMean = 0.25
        trained.training?.teacherChoice = 0.75
        trained.training?.teacherEntropy = 1.5
        trained.training?.parts = DivergenceParts(
            positions: [0.5, nil, 0.25, nil, nil], teachers: ["a": 1, "b+\"": 2], tags: ["add": 0.125],
            turns: [1: 0.5, 12: 2])
        trained.training?.episodes = EpisodeMetrics(turnsMean: 2.5, ends: [.stop: 0.75, .environment: 0.25])
        trained.training?.passRate = nil
        trained.training?.stalenessMax = 3
        trained.training?.batchTokens = 77
        trained.timing = TimingMetrics(samplingTokensPerSecond: 1234.5, stepSeconds: 1.0 / 3)
        var evaluated = StepMetrics(step: 2, version: 1, training: nil, tokens: .init(), skipped: "a \"flaw\"\n")
        evaluated.cost = RunCost(sampling: 1e12, scoring: 0, training: 3e12)
        evaluated.evaluation = EvaluationMetrics([], crossEntropy: 2.5)
        evaluated.evaluation?.passRate = 0.5
        evaluated.evaluation?.rewardMean = 0.75
        evaluated.evaluation?.teacherPassRate = 0.875
        return [StepMetrics(step: 0, version: 0, training: nil, tokens: .init()), trained, evaluated]
    }

    @Test func metricsAreReadAsTheyWereWritten() throws {
        try withFolder { folder in
            let writer = try MetricsWriter(folder: folder.path, resumingAfter: nil)
            for step in steps { try writer.append(step) }
            var reader = try folder.readMetrics()
            let read = try reader.rest()
            #expect(read.map(\.jsonLine) == steps.map(\.jsonLine))
            #expect(read[0] == steps[0] && read[2] == steps[2])
            #expect(read[1].training?.episodes == steps[1].training?.episodes)
            #expect(read[1].training?.parts == steps[1].training?.parts && read[1].training?.parts != nil)
        }
    }

    @Test func aLineThatIsStillWrittenIsLeftOut() throws {
        try withFolder { folder in
            let whole = steps[0].jsonLine
            try (whole + "\n" + whole.dropLast(9)).write(toFile: folder.metrics, atomically: false, encoding: .utf8)
            var reader = try folder.readMetrics()
            #expect(try reader.rest().count == 1)
        }
    }

    @Test func aLineThatIsNoStepIsNamed() throws {
        try withFolder { folder in
            for (line, what) in [
                ("{\"step\": 1}", "'version' is missing"),
                ("[1]", "an object should stand here, not an array"),
                (steps[0].jsonLine.replacing("\"step\": 0", with: "\"step\": -1"), "'step' should be a whole number"),
                ("{", "not valid JSON at byte 1"),
            ] {
                try (steps[0].jsonLine + "\n" + line + "\n").write(
                    toFile: folder.metrics, atomically: false, encoding: .utf8)
                var reader = try folder.readMetrics()
                _ = try reader.next()
                do {
                    _ = try reader.next()
                    Issue.record("\(line) was read")
                } catch {
                    #expect("\(error)".hasPrefix("\(folder.metrics):2: "), "\(error)")
                    #expect("\(error)".contains(what), "\(error)")
                }
            }
        }
    }

    @Test func samplesAndSuspectsAreRead() throws {
        try withFolder { folder in
            let rest = """
                "id": "1.2.3", "kind": "train", "teacher": "big", "prompt": "p\\u0000", "response": "r", \
                "finish_reason": "stop", "ids": [1,2], "student_logprobs": [-0.5,null], \
                "teacher_logprobs": [-0.1,-0.25], "versions": [3,4]
                """
            try
                "{\"step\": 5, \(rest)}\n{\"step\": 6, \(rest), \"ends\": [0,1], \"tags\": [\"a\"], \"reward\": 0.5, \"passed\": true}\n"
                .write(
                    toFile: folder.samples, atomically: false, encoding: .utf8)
            try "{\"step\": 7, \"flaw\": \"spoilt\", \(rest)}\n".write(
                toFile: folder.suspects, atomically: false, encoding: .utf8)
            var samples = try folder.readSamples()
            let read = try samples.rest()
            #expect(read.map(\.step) == [5, 6] && read[0].prompt == "p\0" && read[0].ids == [1, 2])
            #expect(read[0].teacherLogprobs == [-0.1, -0.25] && read[0].studentLogprobs?[1].isNaN == true)
            #expect(read[0].verdict == nil && read[1].verdict?.reward == 0.5 && read[1].verdict?.passed == true)
            #expect(read.allSatisfy { $0.flaw == nil && $0.versions == [3, 4] })
            #expect(read[0].ends == nil && read[0].tags == [] && read[1].ends == [0, 1] && read[1].tags == ["a"])
            var suspects = try folder.readSuspects()
            #expect(try suspects.rest().map(\.flaw) == ["spoilt"])
        }
    }
}

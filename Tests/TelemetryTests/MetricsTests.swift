import Distillation
import Foundation
import Telemetry
import TestSupport
import Testing

@Suite struct MetricsTests {
    private func metrics(_ step: UInt64) -> StepMetrics {
        let statistics = BatchStatistics()
        var training = TrainingMetrics(statistics, gradNorm: 0.5, learningRate: 1e-7)
        training.loss = 0.1
        training.ratioMax = .infinity
        training.ratioMean = .nan
        return StepMetrics(step: step, version: step, training: training, tokens: .init(generated: 1536, trained: 1536))
    }

    @Test func aLineHasTheFieldsInTheirOrder() throws {
        let start = StepMetrics(step: 0, version: 0, training: nil, tokens: .init())
        #expect(
            start.jsonLine
                == "{\"step\": 0, \"version\": 0, \"loss\": null, \"teacher_kl\": null, \"entropy\": null, \"ratio_mean\": null, "
                + "\"ratio_max\": null, \"clip_fraction\": null, \"grad_norm\": null, \"lr\": null, \"response_length_mean\": null, "
                + "\"truncated_fraction\": null, \"staleness_mean\": null, \"staleness_max\": null, \"batch_tokens\": null, "
                + "\"tokens_generated\": 0, \"tokens_trained\": 0, \"tokens_discarded\": 0, \"tokens_in_flight\": 0, "
                + "\"sampling_tokens_per_second\": 0.0, \"scoring_tokens_per_second\": 0.0, \"training_tokens_per_second\": 0.0, "
                + "\"wait_rollouts_s\": 0.0, \"wait_scores_s\": 0.0, \"wait_evaluation_s\": 0.0, \"train_s\": 0.0, \"step_s\": 0.0}"
        )
        var metrics = metrics(3)
        metrics.evaluation = EvaluationMetrics([])
        metrics.evaluation?.teacherKL = 0.7
        let object = try #require(try JSONSerialization.jsonObject(with: Data(metrics.jsonLine.utf8)) as? [String: Any])
        #expect(object["eval_teacher_kl"] as? Double == 0.7)
        #expect(object["eval_responses"] as? Int == 0)
        #expect(object["lr"] as? Double == 1e-7)
        #expect(object["loss"] as? Double == 0.1)
        #expect(object["tokens_trained"] as? Int == 1536)
        #expect(object["ratio_max"] is NSNull && object["ratio_mean"] is NSNull)
    }

    /// What a run has no use for is null or left out; what it has is there.
    @Test func rewardsCostsAndPassRatesAreWritten() throws {
        func object(_ metrics: StepMetrics) throws -> [String: Any] {
            try #require(try JSONSerialization.jsonObject(with: Data(metrics.jsonLine.utf8)) as? [String: Any])
        }
        let plain = try object(metrics(1))
        for key in ["reward_mean", "pass_rate", "clamp_fraction", "sampling_flops", "eval_teacher_pass_at_1"] {
            #expect(plain[key] == nil)
        }
        var judged = metrics(2)
        judged.training?.teacherKL = nil
        judged.training?.rewardMean = 0.25
        judged.training?.passRate = 0.125
        judged.training?.clampFraction = 0
        judged.timing.weights = WeightMetrics(snapshotBytes: 4000, differenceBytes: 40, density: 0.01, seconds: 0.5)
        judged.cost = RunCost(sampling: 1e12, scoring: 0, training: 3e12)
        judged.evaluation = EvaluationMetrics([])
        judged.evaluation?.passRate = 0.5
        judged.evaluation?.rewardMean = 0.75
        judged.evaluation?.teacherPassRate = 0.875
        judged.evaluation?.teacherKL = nil
        let written = try object(judged)
        #expect(plain["weight_density"] == nil && written["weight_density"] as? Double == 0.01)
        #expect(written["weight_bytes"] as? Int == 4000 && written["weight_difference_bytes"] as? Int == 40)
        #expect(written["teacher_kl"] is NSNull && written["eval_teacher_kl"] is NSNull)
        for (key, value) in [
            ("reward_mean", 0.25), ("pass_rate", 0.125), ("clamp_fraction", 0), ("sampling_flops", 1e12),
            ("scoring_flops", 0), ("training_flops", 3e12), ("eval_pass_at_1", 0.5), ("eval_reward_mean", 0.75),
            ("eval_teacher_pass_at_1", 0.875),
        ] { #expect(written[key] as? Double == value, "\(key)") }
    }

    /// Only what is told apart is written, and names that are the run's own as JSON has them.
    @Test func partsAreWritten() throws {
        let plain = metrics(1).jsonLine
        for key in ["teacher_kl_", "teacher_choice", "teacher_entropy", "turns", "episode"] {
            #expect(!plain.contains(key))
        }
        var parted = metrics(1)
        parted.training?.crossEntropy = 0.5
        parted.training?.teacherChoice = 0.75
        parted.training?.teacherEntropy = 1.5
        parted.training?.parts = DivergenceParts(
            positions: [0.5, 0.25, nil, nil, nil], teachers: ["b": 2, "a+\"b\"": 1], tags: ["add": 0.125],
            turns: [10: 0.5, 2: 0.25])
        parted.training?.episodes = EpisodeMetrics(turnsMean: 2.5, ends: [.stop: 0.75, .turns: 0.25, .length: 0])
        let added: [String] = [
            #""cross_entropy": 0.5"#, #""teacher_choice_fraction": 0.75"#, #""teacher_entropy": 1.5"#,
            #""teacher_kl_from_0": 0.5"#, #""teacher_kl_from_16": 0.25"#,
            #""teacher_kl_by_teacher": {"a+\"b\"": 1.0, "b": 2.0}"#, #""teacher_kl_by_tag": {"add": 0.125}"#,
            #""teacher_kl_by_turn": {"2": 0.25, "10": 0.5}"#, #""turns_mean": 2.5"#,
            #""episode_ends": {"stop": 0.75, "length": 0.0, "turns": 0.25}"#,
        ]
        let expected: String = String(plain.dropLast()) + ", " + added.joined(separator: ", ") + "}"
        #expect(parted.jsonLine == expected)
    }

    @Test func resumingCutsLaterAndTornLines() throws {
        let folder = try TemporaryFolder()
        do {
            let writer = try MetricsWriter(folder: folder.path, resumingAfter: nil)
            for step in UInt64(0)...4 { try writer.append(metrics(step)) }
        }
        let file = try #require(FileHandle(forWritingAtPath: "\(folder.path)/metrics.jsonl"))
        try file.seekToEnd()
        try file.write(contentsOf: Data("{\"step\": 2, \"torn".utf8))
        try file.close()
        let writer = try MetricsWriter(folder: folder.path, resumingAfter: 2)
        try writer.append(metrics(3))
        let lines = try folder.text(of: "metrics.jsonl").split(separator: "\n").map(String.init)
        #expect(lines == (UInt64(0)...3).map { metrics($0).jsonLine })
        _ = try MetricsWriter(folder: folder.path, resumingAfter: nil)
        #expect(try folder.text(of: "metrics.jsonl") == "")
    }

    @Test func keptLengthStopsAtWhatIsNotAStep() {
        func kept(_ text: String, _ step: Int) -> Int { JSONLinesFile.keptLength(of: Array(text.utf8), lastStep: step) }
        #expect(kept("", 5) == 0)
        #expect(kept("{\"step\": 1}\n{\"step\": 2}\n", 1) == 12)
        #expect(kept("{\"step\":1}\nnoise\n{\"step\": 1}\n", 9) == 11)
        #expect(kept("{\"step\": x}\n", 9) == 0)
        #expect(kept("{\"step\": 1}", 9) == 0)
    }

    @Test func aFolderThatIsNotThereIsNamed() {
        let error = #expect(throws: TelemetryError.self) {
            try MetricsWriter(folder: "/nonexistent", resumingAfter: nil)
        }
        #expect(
            error?.description == "/nonexistent/metrics.jsonl: cannot be opened for writing: No such file or directory")
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full")))
    func aFullDiskIsAnErrorNotACrash() throws {
        let file = try JSONLinesFile(path: "/dev/full", resumingAfter: nil)
        let error = #expect(throws: TelemetryError.self) { try file.append("{}") }
        #expect(error?.description == "/dev/full: cannot be written: No space left on device")
    }

    @Test func nothingIsWrittenThroughALink() throws {
        let folder = try TemporaryFolder()
        let (target, link) = ("\(folder.path)/mine", "\(folder.path)/link")
        try Data("mine".utf8).write(to: URL(filePath: target))
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
        #expect(throws: TelemetryError.self) { try JSONLinesFile(path: link, resumingAfter: nil) }
        #expect(throws: TelemetryError.self) { try JSONLinesFile(path: link, resumingAfter: 3) }
        #expect(throws: TelemetryError.self) { try LogSink(path: link) }
        #expect(try String(contentsOfFile: target, encoding: .utf8) == "mine")
    }

    @Test func samplesCarryTextsAndLogprobs() throws {
        let folder = try TemporaryFolder()
        let trajectory = Trajectory(
            id: RolloutID(group: 3, sample: 1), kind: .train, teacher: "default", promptIDs: [1, 2],
            responseIDs: [5, 6],
            behaviourLogprobs: [-0.5, -.infinity], policyVersions: [0, 1], finishReason: .stop, temperature: 1)
        let record = SampleRecord(
            step: 4, prompt: "a \"b\"\n\u{1}é", response: "c\\",
            scored: .init(trajectory: trajectory, teacherLogprobs: [-0.25, -1]))
        let writer = try SamplesWriter(folder: folder.path, resumingAfter: nil)
        try writer.append(record)
        let text = try folder.text(of: "samples.jsonl")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(object["prompt"] as? String == "a \"b\"\n\u{1}é")
        #expect(object["response"] as? String == "c\\")
        #expect(object["teacher_logprobs"] as? [Double] == [-0.25, -1])
        #expect((object["student_logprobs"] as? [Any])?[1] is NSNull)
        #expect(object["id"] as? String == "3.1")
        var teachers = record
        teachers.scored.sampler = "big"
        teachers.scored.teacherLogprobs = []
        let line = try #require(
            try JSONSerialization.jsonObject(with: Data(teachers.jsonLine.utf8)) as? [String: Any])
        #expect(line["teacher"] as? String == "big")
        #expect((line["student_logprobs"] as? [Any])?.isEmpty == true)
        #expect((line["teacher_logprobs"] as? [Any])?.count == 2)
    }

    /// What was wrong stands in each line; a resumed run cuts later ones; and the file has an end.
    @Test func suspectsAreKeptUpToABound() throws {
        let folder = try TemporaryFolder()
        func record(step: Int, tokens: Int) -> SampleRecord {
            let trajectory = Trajectory(
                id: RolloutID(group: 3, sample: 1), kind: .train, teacher: "default", promptIDs: [1],
                responseIDs: [Int32](repeating: 5, count: tokens), behaviourLogprobs: [.nan], policyVersions: [0],
                finishReason: .stop, temperature: 1)
            return SampleRecord(
                step: step, prompt: "a", response: "b", scored: .init(trajectory: trajectory, teacherLogprobs: []))
        }
        let first = try SuspectsWriter(folder: folder.path, resumingAfter: nil)
        for step in 1...3 { try first.append(record(step: step, tokens: 2), flaw: "a \"reason\"") }
        let second = try SuspectsWriter(folder: folder.path, resumingAfter: 2)
        let line = try #require(try folder.text(of: "suspects.jsonl").split(separator: "\n").last)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(object["step"] as? Int == 2 && object["flaw"] as? String == "a \"reason\"")
        for step in 3...30 { try second.append(record(step: step, tokens: 1 << 19), flaw: "long") }
        #expect(try folder.text(of: "suspects.jsonl").utf8.count <= SuspectsWriter.limit)
        try second.append(record(step: 31, tokens: 2), flaw: "short")
        #expect(try folder.text(of: "suspects.jsonl").split(separator: "\n").count == 2 + 15 + 1)
    }
}

import Foundation
import Models
import TestSupport
import Testing

/// Whole runs of real processes that train adapters.
@Suite(.serialized) struct AdapterRunTests {
    /// There are so many that a run is not over when a test disturbs it.
    private static let steps = 20
    private static let options = [
        "--set", "lora.rank=4", "--set", "lora.alpha=8", "--set", "training.learning_rate=0.02",
    ]

    private static func run(_ folder: String, _ more: [String] = [], dtype: String = "f32") throws -> Binary.Running {
        try Binary.Running(
            ["run", "run.yaml", "--set", "student.dtype=\(dtype)"] + options + more, input: "", folder: folder,
            environment: [:])
    }

    private static func file(_ folder: String, _ name: String) throws -> Data {
        try Data(contentsOf: URL(filePath: "\(folder)/runs/tiny/checkpoints/latest/\(name)"))
    }

    private struct Result: Sendable, Equatable {
        var metrics: [[String: String]]
        var model: Data
        var adapters: Data
        var optimizer: Data

        init(_ folder: String) throws {
            metrics = try ProcessRunTests.metrics(folder)
            model = try ProcessRunTests.weights(folder)
            adapters = try file(folder, "adapter/adapter_model.safetensors")
            optimizer = try file(folder, "optimizer.safetensors")
        }
    }

    private static let reference = Task {
        () async throws -> Result in
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: steps)
            let result = try await run(folder).finish(within: 300)
            try #require(result.status == 0, "\(result.errors)")
            return try Result(folder)
        }
    }

    @Test func adaptersAreTrained() async throws {
        let reference = try await Self.reference.value
        #expect(reference.metrics.map { $0["step"] } == (0...Self.steps).map { "\($0)" })
        for line in reference.metrics.dropFirst() {
            #expect(line["ratio_mean"] == "1.0" && line["ratio_min"] ?? "1.0" == "1.0" && line["ratio_max"] == "1.0")
            #expect(line["staleness_max"] == "0")
        }
        let kl = reference.metrics.compactMap { $0["eval_teacher_kl"].flatMap(Double.init) }
        #expect(kl.count == Self.steps / 2 + 1 && Set(kl).count == kl.count && kl.allSatisfy(\.isFinite))
    }

    /// In bf16, merged weights are rounded after the adapters are added, on both sides.
    @Test func ratiosAreOneInBF16() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 4)
            let result = try await Self.run(folder, ["--set", "lora.targets=[q_proj, down_proj]"], dtype: "bf16")
                .finish(within: 300)
            #expect(result.status == 0, "\(result.errors)")
            let lines = try ProcessRunTests.metrics(folder).dropFirst()
            #expect(lines.count == 4)
            for line in lines { #expect(line["ratio_mean"] == "1.0" && line["ratio_max"] == "1.0") }
        }
    }

    /// Two workers and two scorers, some of them killed, change nothing.
    @Test func moreAndKilledProcessesChangeNothing() async throws {
        let reference = try await Self.reference.value
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: Self.steps)
            let run = try Self.run(folder, ["--workers", "2", "--scorers", "2"])
            for (step, role) in [(1, "rollout"), (2, "scorer"), (3, "rollout")] {
                try await ProcessRunTests.waitForStep(step, folder, run)
                for process in ProcessRunTests.children(of: run.process.processIdentifier, running: role).prefix(1) {
                    kill(process, SIGKILL)
                }
            }
            let result = await run.finish(within: 180)
            #expect(result.status == 0, "\(result.errors)")
            #expect(try Result(folder) == reference)
        }
    }

    @Test func aKilledLearnerIsResumed() async throws {
        let reference = try await Self.reference.value
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: Self.steps)
            let run = try Self.run(folder)
            try await ProcessRunTests.waitForStep(3, folder, run)
            for process in ProcessRunTests.children(of: run.process.processIdentifier, running: "learner") {
                kill(process, SIGKILL)
            }
            #expect(await run.finish(within: 180).status == 1)
            let other = try await Self.run(folder, ["--resume", "--set", "lora.rank=2"]).finish(within: 180)
            #expect(other.status == 2 && other.errors.contains("lora.rank is 2 now and was 4"), "\(other.errors)")
            let base = try await Self.run(folder, ["--resume", "--set", "student.model=teacher"]).finish(within: 180)
            let errors = base.errorLines.filter { $0.hasPrefix("error: ") }
            #expect(base.status == 2 && errors.count == 1, "\(base.errors)")
            #expect(errors.first?.hasPrefix("error: student.model: teacher is not the model that the adapters") == true)
            let resumed = try await Self.run(folder, ["--resume"]).finish(within: 300)
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(try Result(folder) == reference)
        }
    }

    /// The merged model answers as any; the adapters are those of the checkpoint, in the format of others.
    @Test func theResultIsAMergedModelAndItsAdapters() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 2)
            let done = try await Self.run(folder, ["--quiet"]).finish(within: 300)
            #expect(done.status == 0, "\(done.errors)")
            let checkpoint = "\(folder)/runs/tiny/checkpoints/latest"
            let merged = try ModelFiles.open("\(checkpoint)/model"), base = try ModelFiles.open("\(folder)/student")
            let adapters = try SafetensorsFile.open("\(checkpoint)/adapter/adapter_model.safetensors")
            #expect(adapters.entries.count == 2 * 7 * 2)
            for spec in base.configuration.parameters {
                let from = try values(base, spec), to = try values(merged, spec)
                guard spec.name.contains("_proj.") else {
                    #expect(to == from, "\(spec.name) is frozen")
                    continue
                }
                let stem = "base_model.model." + spec.name.dropLast(".weight".count)
                let a = try adapters.floats(stem + ".lora_A.weight"), b = try adapters.floats(stem + ".lora_B.weight")
                let k = spec.shape[1]
                #expect(a.count == 4 * k && b.count == 4 * spec.shape[0] && b.contains { $0 != 0 })
                for index in from.indices {
                    let row = index / k, column = index % k
                    let sum = (0..<4).reduce(Float(0)) { $0 + b[row * 4 + $1] * a[$1 * k + column] }
                    #expect(to[index] == from[index] + sum * 2)
                }
            }
            let json = try JSONSerialization.jsonObject(with: try Self.file(folder, "adapter/adapter_config.json"))
            let config = try #require(json as? [String: Any])
            #expect(config["r"] as? Int == 4 && config["lora_alpha"] as? Double == 8)
            #expect(
                config["base_model_name_or_path"] as? String == "student" && config["peft_type"] as? String == "LORA")
            #expect((config["target_modules"] as? [String])?.count == 7)
            let answer = try await Binary.run(
                ["generate", "runs/tiny/checkpoints/latest/model", "--chat", "Hi", "--max-tokens", "4"], in: folder)
            #expect(answer.status == 0, "\(answer.errors)")
            // Another run goes on from it, and takes the adapters over.
            let fork = try await Self.run(
                folder, ["--set", "name=fork", "--set", "training.steps=3", "--from", "runs/tiny"]
            ).finish(within: 300)
            #expect(fork.status == 0, "\(fork.errors)")
            #expect(try ProcessRunTests.metrics(folder, run: "fork").last?["step"] == "3")
        }
    }

    private func values(_ files: ModelFiles, _ spec: ParameterSpec) throws -> [Float] {
        var values = [Float](repeating: 0, count: spec.count)
        try values.withUnsafeMutableBufferPointer { try files.read(spec.name, into: $0) }
        return values
    }

    @Test func aRankThatDoesNotFitIsRefused() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1)
            let full = try await Self.run(folder, ["--set", "lora.rank=16", "--quiet"]).finish(within: 300)
            #expect(full.status == 0, "as large as the smallest matrix: \(full.errors)")
            let result = try await Self.run(folder, ["--set", "name=x", "--set", "lora.rank=17"]).finish(within: 180)
            // The learner says it, or the worker where that is quicker.
            let message =
                "lora.rank: 17 is above 16, the smaller side of model.layers.0.self_attn.k_proj.weight [16, 32]"
            #expect(result.status == 2 && result.errors.contains("error: \(message)"), "\(result.errors)")
        }
    }

    /// A worker with another base, other adapters, or none says so and ends; nothing it has is trained on.
    @Test(arguments: [
        (["--set", "student.model=teacher"], "another base model"),
        (["--set", "lora.alpha=9"], "another lora section"),
        (["--set", "lora.rank=3"], "lora section"),
        (["--set", "lora.rank=0"], "lora section"),
    ])
    func aWorkerThatDoesNotFitIsTurnedAway(change: [String], message: String) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1)
            let learner = try Binary.Running(
                ["learner", "run.yaml"] + Self.options, input: "", folder: folder, environment: [:])
            defer { kill(learner.process.processIdentifier, SIGKILL) }
            let file = "\(folder)/runs/tiny/endpoint"
            let deadline = Date().addingTimeInterval(30)
            while !FileManager.default.fileExists(atPath: file), Date() < deadline {
                try await Task.sleep(for: .milliseconds(20))
            }
            let endpoint = try String(contentsOfFile: file, encoding: .utf8).filter { $0 != "\n" }
            let worker = try await Binary.run(
                ["rollout", "run.yaml", "--connect", endpoint] + Self.options + change, in: folder, within: 180)
            #expect(worker.status == 1, "\(worker.errors)")
            let errors = worker.errorLines.filter { $0.hasPrefix("error: ") }
            #expect(errors.count == 1 && errors[0].contains(message), "\(worker.errors)")
        }
    }

    /// Supervised, off-policy and rewarded runs train adapters, too, and are the same when they are interrupted.
    @Test(arguments: ["supervised", "off_policy", "reinforcement", "mixed"])
    func everyKindOfRunTrainsThem(kind: String) async throws {
        let imitates = ["supervised", "off_policy"].contains(kind)
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 4)
            let prompts = [("Name a river.", "The Rhine."), ("Say hello.", "Hello."), ("Count.", "One, two.")]
            let rules = "{\"name\": \"rules\", \"rules\": [\"max_characters 14\", \"excludes e\"]}"
            for file in ["prompts", "heldout"] {
                try write(
                    prompts.map {
                        "{\"prompt\": \"\($0.0)\", \"response\": \"\($0.1)\", \"verifier\": \(rules)}\n"
                    }.joined(), "\(folder)/\(file).jsonl")
            }
            let options = ["--set", "objective.kind=\(kind)", "--set", "lora.targets=[q_proj, v_proj, up_proj]"]
            let whole = try await Self.run(folder, options).finish(within: 300)
            #expect(whole.status == 0, "\(whole.errors)")
            let result = try Result(folder)
            #expect(result.metrics.map { $0["step"] } == (0...4).map { "\($0)" })
            #expect(
                result.metrics.dropFirst().allSatisfy { $0["ratio_mean"] ?? "1.0" == "1.0" || imitates })
            // Scored with the merged weights, where the learner evaluates.
            let heldout = result.metrics.compactMap { $0["eval_cross_entropy"].flatMap(Double.init) }
            #expect(imitates ? heldout.count == 3 && Set(heldout).count == 3 : heldout.isEmpty, "\(heldout)")
            if kind == "supervised" {
                let losses = result.metrics.compactMap { $0["loss"].flatMap(Double.init) }
                #expect(losses.count == 4 && losses[3] < losses[0] - 0.1, "\(losses)")
            }
            let adapters = try SafetensorsFile.open(
                "\(folder)/runs/tiny/checkpoints/latest/adapter/adapter_model.safetensors")
            #expect(adapters.entries.count == 2 * 3 * 2)
            try FileManager.default.removeItem(atPath: "\(folder)/runs")
            let half = try await Self.run(folder, options + ["--set", "training.steps=2"]).finish(within: 300)
            #expect(half.status == 0, "\(half.errors)")
            let rest = try await Self.run(folder, options + ["--resume"]).finish(within: 300)
            #expect(rest.status == 0, "\(rest.errors)")
            #expect(try Result(folder) == result)
        }
    }

    @Test(.enabled(if: Transformers.peft != nil, "no Python with transformers and peft; set OPD_PYTHON to one"))
    func peftReadsTheAdaptersAndAgrees() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 3)
            #expect(try await Self.run(folder, ["--quiet"]).finish(within: 300).status == 0)
            let checkpoint = "runs/tiny/checkpoints/latest"
            let ids = (0..<40).map { 7 + 13 * $0 % 600 }
            let scored = try await Binary.run(
                ["score", "\(checkpoint)/model", "--dtype", "f32"], input: "\(ids)\n", in: folder)
            let ours = try JSONDecoder().decode([Double].self, from: Data(scored.output.utf8))
            let theirs = try await Transformers.logprobs(
                model: "\(folder)/student", adapters: "\(folder)/\(checkpoint)/adapter", ids: ids)
            #expect(ours.count == 39 && theirs.count == 39)
            #expect(zip(ours, theirs).allSatisfy { abs($0 - $1) < 1e-4 })
            let base = try await Transformers.logprobs(model: "\(folder)/student", ids: ids)
            #expect(zip(base, theirs).contains { abs($0 - $1) > 1e-3 }, "the adapters change something")
        }
    }
}

import Foundation
import TestSupport
import Testing

/// Teachers that are shown more than the student, by the commands.
@Suite(.serialized) struct TeacherPromptRunTests {
    private static let told = "teachers.default.system='Mind this:'", shown = "teachers.default.context_field=solution"

    /// A run of tiny models, of whose prompts each has a solution.
    private func writeRun(in folder: String, steps: Int = 3) throws {
        try TinyModel.writeRun(in: folder, steps: steps)
        for (name, count) in [("prompts", 5), ("heldout", 2)] {
            try (0..<count).map { "{\"prompt\": \"What is \($0)?\", \"solution\": \"It is number \($0).\"}\n" }.joined()
                .write(toFile: "\(folder)/\(name).jsonl", atomically: true, encoding: .utf8)
        }
    }

    private func run(_ name: String, _ settings: [String], in folder: String) async throws -> Binary.Output {
        try await Binary.run(Binary.runWords(name, settings), in: folder)
    }

    /// The student's own copy teaches nothing, unless it is shown more; and then the run is the same whoever works.
    @Test(arguments: [["objective.divergence=sampled"], ["objective.divergence=reverse_kl", "objective.support=full"]])
    func aPrivilegedCopyOfTheStudentTeaches(objective: [String]) async throws {
        try await withTemporaryFolder { folder in
            try writeRun(in: folder)
            let copy = ["teachers.default.model=student", "checkpoint.every=0"] + objective
            // The files have a field that nobody is shown.
            let plain = try await run("plain", copy + ["data.fields.prompt=prompt"], in: folder)
            #expect(plain.status == 0, "\(plain.errors)")
            #expect(
                try ProcessRunTests.metrics(folder, run: "plain").allSatisfy {
                    $0["loss"].flatMap(Double.init) ?? 0 == 0
                })
            let more = ["pipeline.workers=2", "pipeline.scorers=2", "pipeline.threads=2"]
            for (name, settings) in [("one", []), ("more", more)] {
                let result = try await run(name, copy + [Self.told, Self.shown] + settings, in: folder)
                #expect(result.status == 0, "\(result.errors)")
            }
            let metrics = try ProcessRunTests.metrics(folder, run: "one")
            #expect(metrics.dropFirst().count == 3)
            #expect(metrics.dropFirst().allSatisfy { $0["teacher_kl"].flatMap(Double.init) ?? 0 != 0 })
            #expect(metrics.dropFirst().allSatisfy { $0["ratio_max"] == "1.0" })
            #expect(try ProcessRunTests.metrics(folder, run: "more") == metrics)
            #expect(try ProcessRunTests.weights(folder, run: "more") == ProcessRunTests.weights(folder, run: "one"))
        }
    }

    /// The teacher that is shown more samples, and the student imitates it without having seen that.
    @Test func aPrivilegedTeacherIsImitated() async throws {
        try await withTemporaryFolder { folder in
            try writeRun(in: folder)
            let kind = ["objective.kind=off_policy", Self.told, Self.shown]
            let result = try await run("imitated", kind, in: folder)
            #expect(result.status == 0, "\(result.errors)")
            #expect(try ProcessRunTests.metrics(folder, run: "imitated").count == 4)
        }
    }

    @Test func aDryRunShowsWhatTheTeacherIsShown() async throws {
        try await withTemporaryFolder { folder in
            try writeRun(in: folder)
            let settings = [Self.told, Self.shown, "data.system_prompt='Be brief.'"].flatMap { ["--set", $0] }
            let result = try await Binary.run(["run", "run.yaml", "--dry-run"] + settings, in: folder)
            #expect(result.status == 0, "\(result.errors)")
            #expect(result.output.contains("the first prompt as teacher 'default' is shown it, "))
            #expect(
                result.output.contains(
                    "<|im_start|>system\nBe brief.\n\nMind this:\n\nIt is number 0.<|im_end|>\n<|im_start|>user\n"),
                "\(result.output)")
        }
    }

    @Test func whatCannotBeShownIsRefused() async throws {
        try await withTemporaryFolder { folder in
            try writeRun(in: folder)
            let deaf = TinyModel.chatML.replacingOccurrences(
                of: "{% for message in messages %}", with: "{% for message in messages if message.role != 'system' %}")
            for name in ["teacher", "student"] {
                let settings = ["chat_template": deaf, "eos_token": "<|im_end|>"]
                try FileManager.default.createDirectory(atPath: "\(folder)/deaf", withIntermediateDirectories: true)
                try FileManager.default.copyItem(atPath: "\(folder)/\(name)", toPath: "\(folder)/deaf/\(name)")
                try JSONSerialization.data(withJSONObject: settings)
                    .write(to: URL(filePath: "\(folder)/deaf/\(name)/tokenizer_config.json"))
            }
            let long = String(repeating: "word ", count: 300)
            let refused: [([String], String)] = [
                (["teachers.default.context_field=proof"], "prompts.jsonl:1: "),
                (
                    ["student.model=deaf/student", "teachers.default.model=deaf/teacher", Self.told, Self.shown],
                    "leaves out what teachers.default is told in the system message"
                ),
                (
                    [Self.shown, "teachers.default.system='\(long)'", "data.overlong=refuse"],
                    "prompt 1, as teacher 'default' reads it, has "
                ),
                (
                    [Self.shown, "teachers.default.system='\(long)'"],
                    "prompts.jsonl, as its teachers read it: none of its 5 prompts fits into the context of 256"
                ),
            ]
            for (settings, message) in refused {
                let result = try await run("off", settings, in: folder)
                #expect(result.status == 2 && result.errors.contains(message), "\(settings): \(result.errors)")
            }
            let cut = try await run(
                "cut", [Self.shown, "teachers.default.system='\(long)'", "data.overlong=truncate"], in: folder)
            #expect(cut.status == 0, "\(cut.errors)")
            #expect(cut.errors.contains("as its teachers read it: 5 of 5 prompts are cut at the beginning"))
        }
    }

    /// The configuration in Examples, a few steps of it with tiny models in place of SmolLM2.
    @Test func theExampleRuns() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/student", seed: 2, maxPositions: 2048)
            let settings = [
                "student.model=\(folder)/student", "teachers.default.model=\(folder)/student", "sampling.max_tokens=8",
            ]
            let (metrics, _) = try await ExampleRun.run("smollm2-privileged", steps: 3, settings, in: folder)
            #expect(metrics.count == 3 && metrics.allSatisfy { $0["teacher_kl"].flatMap(Double.init) ?? 0 != 0 })
        }
    }
}

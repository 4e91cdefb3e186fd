import Foundation
import TestSupport
import Testing

/// Teachers whose tokenizers have more tokens than the student's, or fewer.
@Suite struct TokenMapTests {
    private static let shared = ["--set", "teachers.default.token_map=shared"]

    /// Gives a model one token more, in the place of a row that pads its embedding.
    private static func addToken(to folder: String) throws {
        let file = URL(filePath: "\(folder)/tokenizer.json")
        var json = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        var added = try #require(json["added_tokens"] as? [[String: Any]])
        added.append([
            "id": 702, "content": "<more>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        ])
        json["added_tokens"] = added
        try JSONSerialization.data(withJSONObject: json).write(to: file)
    }

    /// A run in which the model at `label` has a token more.
    private static func writeRun(in folder: String, more label: String) throws {
        try TinyModel.writeRun(in: folder)
        try addToken(to: "\(folder)/\(label)")
    }

    @Test func aTeacherWithMoreTokensIsTakenWhereThatIsWanted() async throws {
        try await withTemporaryFolder { folder in
            try Self.writeRun(in: folder, more: "teacher")
            let strict = try await Binary.run(["run", "run.yaml"], in: folder)
            #expect(strict.status == 2, "\(strict.errors)")
            for words in [
                "teachers.default: teacher has another tokenizer than the student student",
                "token id 702 is none for the student and \"<more>\" for the teacher", "token_map: shared accepts",
            ] { #expect(strict.errors.contains(words), "\(strict.errors)") }
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/runs/tiny/metrics.jsonl"))
            let run = try await Binary.run(["run", "run.yaml"] + Self.shared, in: folder)
            #expect(run.status == 0, "\(run.errors)")
            #expect(try ProcessRunTests.metrics(folder).map { $0["step"] } == (0...4).map { "\($0)" })
        }
    }

    /// What is asked, and the difference that is named.
    @Test(arguments: [
        ("student", [], "token id 702 is \"<more>\" for the student and none for the teacher"),
        // It is the teacher that writes.
        (
            "teacher", ["--set", "objective.kind=off_policy"],
            "token id 702 is \"<more>\" for the teacher and none for the student"
        ),
        (
            "teacher", ["--set", "data.prompts=more.jsonl"],
            "the teacher reads prompt 2 of its prompts otherwise: token "
        ),
        (
            "teacher", ["--set", "data.heldout=more.jsonl"],
            "for the student and \"<more>\" (id 702) for the teacher"
        ),
    ]) func whatIsNotSharedIsRefusedByName(more: String, options: [String], words: String) async throws {
        try await withTemporaryFolder { folder in
            try Self.writeRun(in: folder, more: more)
            try write("{\"prompt\": \"Hello.\"}\n{\"prompt\": \"Say <more>.\"}\n", "\(folder)/more.jsonl")
            let result = try await Binary.run(["run", "run.yaml"] + Self.shared + options, in: folder)
            let errors = result.errorLines.filter { $0.hasPrefix("error: ") }
            #expect(result.status == 2 && errors.count == 1 && errors[0].contains(words), "\(result.errors)")
        }
    }

    /// How a scorer ends that joins a learner with these arguments, and, where it is welcome, the learner does well.
    /// - Parameter model: the teacher's, on the scorer's machine. The learner may still read its own files by then.
    private static func scorer(
        joining arguments: [String], isWelcome: Bool, in folder: String, model: String = "teacher"
    ) async throws -> Binary.Output {
        let learner = try Binary.Running(
            ["learner", "run.yaml"] + arguments, input: "", folder: folder, environment: [:])
        defer { kill(learner.process.processIdentifier, SIGKILL) }
        let file = "\(folder)/runs/tiny/endpoint", deadline = Date().addingTimeInterval(30)
        while !FileManager.default.fileExists(atPath: file), Date() < deadline {
            try await Task.sleep(for: .milliseconds(20))
        }
        let connect = ["--connect", try String(contentsOfFile: file, encoding: .utf8).filter { $0 != "\n" }]
        let worker = try Binary.Running(
            ["rollout", "run.yaml"] + connect, input: "", folder: folder, environment: [:])
        defer { kill(worker.process.processIdentifier, SIGKILL) }
        let scorer = try await Binary.run(
            ["scorer", "run.yaml", "--set", "teachers.default.model=\(model)"] + connect, in: folder, within: 180)
        guard isWelcome else { return scorer }
        #expect(scorer.status == 0, "\(scorer.errors)")
        let end = await learner.finish(within: 180)
        #expect(end.status == 0, "\(end.errors)")
        return scorer
    }

    /// The learner has none of the teacher's files, and hears of its tokenizer when it joins.
    @Test(arguments: ["shared", "strict"]) func aTeacherOnAnotherMachineTellsItsTokens(map: String) async throws {
        try await withTemporaryFolder { folder in
            try Self.writeRun(in: folder, more: "teacher")
            let scorer = try await Self.scorer(
                joining: ["--set", "teachers.default.model=elsewhere", "--set", "teachers.default.token_map=\(map)"],
                isWelcome: map == "shared", in: folder)
            if map == "strict" {
                #expect(
                    scorer.status == 2
                        && scorer.errors.contains("token id 702 is none for the student and \"<more>\" for the teacher"),
                    "\(scorer.errors)")
            }
        }
    }

    // MARK: Bytes

    private static let bytes = ["--set", "teachers.default.token_map=bytes"]

    /// The members of metrics that tell of another tokenizer, and the others.
    private static func split(_ metrics: [[String: String]]) -> (own: [[String: String]], shares: [[String: String]]) {
        let names: Set = ["one_to_one_fraction", "ungraded_fraction"]
        return (
            metrics.map { $0.filter { !names.contains($0.key) } }, metrics.map { $0.filter { names.contains($0.key) } }
        )
    }

    /// Gives every row of a model a token, so that none pads the embedding.
    /// - Parameter strips: whether these take the space before them along, which makes the tokenizer another.
    private static func fill(_ folder: String, strips: Bool) throws {
        let file = URL(filePath: "\(folder)/tokenizer.json")
        var json = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        var added = try #require(json["added_tokens"] as? [[String: Any]])
        for id in [702, 703] {
            added.append([
                "id": id, "content": "<fill\(id)>", "single_word": false, "lstrip": strips, "rstrip": false,
                "normalized": false, "special": true,
            ])
        }
        json["added_tokens"] = added
        try JSONSerialization.data(withJSONObject: json).write(to: file)
    }

    /// With the student's tokenizer a teacher is as any other, and with one of the same tokens all of them are compared one
    /// by one: to the last bit.
    @Test func equalTokensAreTheOrdinaryMethod() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            try TinyModel.write(to: "\(folder)/other", seed: 1)
            for name in ["student", "teacher", "other"] {
                try Self.fill("\(folder)/\(name)", strips: name == "other")
            }
            func run(_ name: String, _ options: [String]) async throws -> [[String: String]] {
                let run = try await Binary.run(["run", "run.yaml", "--set", "name=\(name)"] + options, in: folder)
                #expect(run.status == 0, "\(run.errors)")
                return try ProcessRunTests.metrics(folder, run: name)
            }
            let strict = try await run("strict", []), same = try await run("same", Self.bytes)
            #expect(strict.count == 5 && strict == same)
            let other = Self.split(
                try await run("other", Self.bytes + ["--set", "teachers.default.model=other"]))
            #expect(other.own == strict)
            #expect(
                other.shares.dropFirst().allSatisfy {
                    $0 == ["one_to_one_fraction": "1.0", "ungraded_fraction": "0.0"]
                }, "\(other.shares)")
            #expect(
                try ProcessRunTests.weights(folder, run: "other") == ProcessRunTests.weights(folder, run: "strict"))
        }
    }

    /// A teacher of another family: whoever works, the run is the same, and the student comes nearer to it.
    @Test func anotherTokenizersTeacherTeaches() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            try FileManager.default.removeItem(atPath: "\(folder)/teacher")
            try TinyModel.write(to: "\(folder)/teacher", seed: 1, tokenizer: "bpe-llama3")
            let strict = try await Binary.run(["run", "run.yaml"], in: folder)
            #expect(strict.status == 2 && strict.errors.contains("or teachers.default.token_map: bytes"))
            let longer = [
                "--set", "training.steps=30", "--set", "data.prompts_per_step=5", "--set", "evaluation.every=30",
            ]
            for (name, more) in [
                ("one", []), ("more", ["--set", "pipeline.workers=2", "--set", "pipeline.scorers=2"]),
            ] {
                let run = try await Binary.run(
                    ["run", "run.yaml", "--set", "name=\(name)"] + Self.bytes + longer + more, in: folder, within: 300)
                #expect(run.status == 0, "\(run.errors)")
                #expect(run.errors.contains("its tokenizer is another than the student's, "), "\(run.errors)")
            }
            let metrics = try ProcessRunTests.metrics(folder, run: "one")
            #expect(try ProcessRunTests.metrics(folder, run: "more") == metrics)
            let shares = Self.split(metrics).shares.dropFirst().compactMap {
                $0["one_to_one_fraction"].flatMap(Double.init)
            }
            #expect(shares.count == 30 && shares.allSatisfy { $0 > 0.2 } && shares.contains { $0 < 1 }, "\(shares)")
            let divergences = metrics.compactMap { $0["eval_teacher_kl"].flatMap(Double.init) }
            #expect(divergences.count == 2 && divergences[1] < 0.7 * divergences[0], "\(divergences)")
        }
    }

    @Test func aDryRunShowsWhatTheOtherTeacherReads() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            try FileManager.default.removeItem(atPath: "\(folder)/teacher")
            try TinyModel.write(to: "\(folder)/teacher", seed: 1, tokenizer: "bpe-llama3")
            // Another form of the same conversation: its own.
            let settings = [
                "chat_template": "{% for m in messages %}[{{ m.content }}]{% endfor %}:", "eos_token": "<|im_end|>",
            ]
            try JSONSerialization.data(withJSONObject: settings).write(
                to: URL(filePath: "\(folder)/teacher/tokenizer_config.json"))
            let result = try await Binary.run(
                ["run", "run.yaml", "--dry-run", "--set", "data.shuffle=false"] + Self.bytes, in: folder)
            #expect(result.status == 0, "\(result.errors)")
            #expect(result.output.contains("<|im_start|>user\nName a river.<|im_end|>"), "\(result.output)")
            #expect(result.output.contains("as teacher 'default' is shown it, "), "\(result.output)")
            #expect(result.output.contains("\n[Name a river.]:\n"), "\(result.output)")
        }
    }

    /// The learner has the teacher's tokenizer alone, and a member with another is turned away.
    @Test(arguments: ["teacher", "more", "student"])
    func anotherMachineHasTheOtherTeacher(model: String) async throws {
        let isRight = model == "teacher"
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            try FileManager.default.removeItem(atPath: "\(folder)/teacher")
            try TinyModel.write(to: "\(folder)/teacher", seed: 1, tokenizer: "bpe-llama3")
            let missing = ["--set", "teachers.default.model=elsewhere"] + Self.bytes
            let nothing = try await Binary.run(["learner", "run.yaml"] + missing, in: folder)
            #expect(
                nothing.status == 2 && nothing.errors.contains("name its folder with teachers.default.tokenizer"),
                "\(nothing.errors)")
            try FileManager.default.copyItem(atPath: "\(folder)/teacher", toPath: "\(folder)/more")
            try Self.addToken(to: "\(folder)/more")
            let scorer = try await Self.scorer(
                joining: ["--set", "teachers.default.tokenizer=teacher"] + missing, isWelcome: isRight, in: folder,
                model: model)
            if !isRight {
                #expect(
                    scorer.status == 2
                        && scorer.errors.contains("cuts responses by the tokenizer that it has of this teacher"),
                    "\(scorer.errors)")
            }
        }
    }

    @Test(arguments: [
        (["objective.kind=off_policy"], "teachers.default.token_map: with objective.kind off_policy"),
        (["data.environment.name=calculator"], "teachers.default.token_map: bytes grades responses of one turn"),
        (["data.environment.command=[cat]"], "teachers.default.token_map: bytes grades responses of one turn"),
        (["objective.divergence=reverse_kl"], "teachers.default.token_map: a teacher with tokens of its own"),
        (
            ["teachers.default.refresh_every=2", "teachers.default.model=student"],
            "teachers.default.token_map: with teachers.default.refresh_every"
        ),
    ]) func whatBytesCannotBeIsRefusedByName(settings: [String], words: String) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let result = try await Binary.run(
                ["run", "run.yaml"] + Self.bytes + settings.flatMap { ["--set", $0] }, in: folder)
            #expect(result.status == 2 && result.errors.contains(words), "\(result.errors)")
        }
    }

    private static let models =
        ProcessInfo.processInfo.environment["OPD_MODELS"] ?? "\(QuickStartTests.repository)/models"

    /// The configuration in Examples, a few steps of it: a real teacher with a tokenizer of its own.
    @Test(.enabled(if: FileManager.default.fileExists(atPath: "\(models)/smollm2"), "make models"))
    func theExampleRuns() async throws {
        try await withTemporaryFolder { folder in
            let settings = ["teachers.default.model=\(Self.models)/smollm2", "sampling.max_tokens=16"]
            let (metrics, _) = try await ExampleRun.run("smollm2-bytes", steps: 3, settings, in: folder, within: 600)
            #expect(metrics.count == 3)
            #expect(metrics.allSatisfy { $0["one_to_one_fraction"] != nil && $0["teacher_kl"] != nil })
        }
    }
}

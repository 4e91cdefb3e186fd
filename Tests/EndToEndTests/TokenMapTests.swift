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

    /// The learner has none of the teacher's files, and hears of its tokenizer when it joins.
    @Test(arguments: ["shared", "strict"]) func aTeacherOnAnotherMachineTellsItsTokens(map: String) async throws {
        try await withTemporaryFolder { folder in
            try Self.writeRun(in: folder, more: "teacher")
            let learner = try Binary.Running(
                [
                    "learner", "run.yaml", "--set", "teachers.default.model=elsewhere", "--set",
                    "teachers.default.token_map=\(map)",
                ], input: "", folder: folder, environment: [:])
            defer { kill(learner.process.processIdentifier, SIGKILL) }
            let file = "\(folder)/runs/tiny/endpoint"
            let deadline = Date().addingTimeInterval(30)
            while !FileManager.default.fileExists(atPath: file), Date() < deadline {
                try await Task.sleep(for: .milliseconds(20))
            }
            let connect = ["--connect", try String(contentsOfFile: file, encoding: .utf8).filter { $0 != "\n" }]
            let worker = try Binary.Running(
                ["rollout", "run.yaml"] + connect, input: "", folder: folder, environment: [:])
            defer { kill(worker.process.processIdentifier, SIGKILL) }
            let scorer = try await Binary.run(["scorer", "run.yaml"] + connect, in: folder, within: 180)
            if map == "shared" {
                #expect(scorer.status == 0, "\(scorer.errors)")
                let end = await learner.finish(within: 180)
                #expect(end.status == 0, "\(end.errors)")
            } else {
                #expect(
                    scorer.status == 2
                        && scorer.errors.contains("token id 702 is none for the student and \"<more>\" for the teacher"),
                    "\(scorer.errors)")
            }
        }
    }
}

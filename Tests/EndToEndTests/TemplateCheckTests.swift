import Foundation
import TestSupport
import Testing

/// What a start says of its models' chat templates, stop tokens and beginnings, and which day templates take for today.
@Suite struct TemplateCheckTests {
    /// Puts BOS before every text, as Llama's tokenizers do.
    private static var opening: [String: Any] {
        [
            "type": "TemplateProcessing",
            "single": [
                ["SpecialToken": ["id": "<|endoftext|>", "type_id": 0]], ["Sequence": ["id": "A", "type_id": 0]],
            ],
            "pair": [["Sequence": ["id": "A", "type_id": 0]], ["Sequence": ["id": "B", "type_id": 1]]],
            "special_tokens": [
                "<|endoftext|>": ["id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]]
            ],
        ]
    }

    private static func change(_ file: String, _ change: (inout [String: Any]) -> Void) throws {
        let url = URL(filePath: file)
        var json = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
        change(&json)
        try JSONSerialization.data(withJSONObject: json).write(to: url)
    }

    /// Gives a model another template; nil: none.
    private static func setTemplate(_ template: String?, of model: String) throws {
        try change("\(model)/tokenizer_config.json") { $0["chat_template"] = template }
    }

    private static func rehearse(_ folder: String, _ overrides: [String] = []) async throws -> Binary.Output {
        try await Binary.run(["run", "run.yaml", "--dry-run"] + overrides.flatMap { ["--set", $0] }, in: folder)
    }

    /// The lines of a start that speak of templates and stop tokens.
    private static func findings(_ output: Binary.Output) -> [String] {
        output.errorLines.filter { line in
            ["chat template", "answers end with", "renders this run's", "data.template"].contains { line.contains($0) }
        }
    }

    @Test func modelsThatAgreeAreNotSpokenOf() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let result = try await Self.rehearse(folder)
            #expect(result.status == 0 && Self.findings(result).isEmpty, "\(result.errors)")
        }
    }

    @Test func stopTokensThatDifferAreNamed() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1)
            try write("{\"eos_token_id\": [2, 1]}", "\(folder)/teacher/generation_config.json")
            for arguments in [["--dry-run"], []] {
                let result = try await Binary.run(["run", "run.yaml"] + arguments, in: folder)
                let lines = Self.findings(result)
                #expect(result.status == 0 && lines.count == 1, "\(result.errors)")
                #expect(
                    lines.first?.contains(
                        "teachers.default: its answers end with \"<|im_end|>\" or \"<|im_start|>\", the student's with \"<|im_end|>\"; a "
                            + "student that stops where its teacher does not is rewarded for never stopping") == true,
                    "\(lines)")
            }
        }
    }

    @Test func aBeginningThatWouldStandTwiceStandsOnce() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1)
            for model in ["student", "teacher"] {
                try Self.change("\(folder)/\(model)/tokenizer.json") { $0["post_processor"] = Self.opening }
                try Self.change("\(folder)/\(model)/tokenizer_config.json") { $0["bos_token"] = "<|endoftext|>" }
                try Self.setTemplate("{{ bos_token }}" + TinyModel.chatML, of: "\(folder)/\(model)")
            }
            let once = try await Self.rehearse(folder)
            #expect(
                Self.findings(once).count == 1
                    && once.errors.contains(
                        "the chat template opens with <|endoftext|>, which the tokenizer would add again: it stands there once"
                    ), "\(once.errors)")
            #expect(once.output.components(separatedBy: "<|endoftext|>").count == 3, "its text, and its one token")
            // A template of ours that lacks it is not what this model was trained on.
            let lacking = try await Self.rehearse(folder, ["data.template=chatml"])
            #expect(
                lacking.errors.contains(
                    "data.template: chatml does not open with <|endoftext|>, which the tokenizer puts before other texts"
                ),
                "\(lacking.errors)")
            // Texts alone get what the tokenizer puts before any text.
            let plain = try await Self.rehearse(folder, ["data.template=plain"])
            #expect(plain.status == 0 && !plain.errors.contains("stands there once"), "\(plain.errors)")
        }
    }

    @Test func aTeacherThatReadsPromptsOtherwiseEndsTheStart() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1)
            try Self.setTemplate("{# ChatML #}" + TinyModel.chatML, of: "\(folder)/teacher")
            let same = try await Self.rehearse(folder)
            #expect(
                same.status == 0
                    && same.errors.contains(
                        "teachers.default: its chat template is not the student's, but renders its prompts of this run (7) alike"
                    ), "\(same.errors)")
            try Self.setTemplate(
                TinyModel.chatML.replacing("<|im_start|>assistant", with: "<|im_start|>helper"), of: "\(folder)/teacher"
            )
            let other = try await Self.rehearse(folder)
            #expect(
                other.status == 2
                    && other.errors.contains(
                        "teachers.default: teacher renders this run's prompts otherwise than the student: prompts.jsonl: "
                            + "prompt 1: from character "),
                "\(other.errors)")
            #expect(other.errors.contains(" on it has \"helper\\n\" where the student has \"assistant\\n\""))
            try Self.setTemplate(nil, of: "\(folder)/teacher")
            let none = try await Self.rehearse(folder)
            #expect(none.status == 2 && none.errors.contains("prompts otherwise than the student"), "\(none.errors)")
            // Named, the student's own is what both see; the run says how they differ.
            let named = try await Binary.run(["run", "run.yaml", "--set", "data.template=default"], in: folder)
            #expect(
                named.status == 0 && named.errors.contains("renders this run's prompts otherwise"), "\(named.errors)")
        }
    }

    /// What another teacher is asked is none of its business.
    @Test func aTeacherIsHeldAgainstItsOwnPrompts() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1)
            try TinyModel.write(to: "\(folder)/other", seed: 3)
            let strict =
                "{% for m in messages %}{% if 'river' in m.content %}{{ raise_exception('no rivers') }}{% endif %}"
            try Self.setTemplate(strict + "{% endfor %}" + TinyModel.chatML, of: "\(folder)/other")
            let two = ["teachers.other.model=other", "teachers.other.dtype=f32", "data.prompts=two.jsonl"]
            for (teacher, status) in [("other", Int32(2)), ("default", 0)] {
                try write(
                    "{\"prompt\": \"Name a river.\", \"teacher\": \"\(teacher)\"}\n"
                        + "{\"prompt\": \"Name a lake.\", \"teacher\": \"other\"}\n", "\(folder)/two.jsonl")
                try write(
                    "{\"prompt\": \"Name a lake.\", \"teacher\": \"default\"}\n", "\(folder)/heldout.jsonl")
                let result = try await Self.rehearse(folder, two)
                #expect(result.status == status, "\(result.errors)")
                #expect(
                    result.errors.contains("the teacher's template refuses it") == (status == 2), "\(result.errors)")
                if status == 0 {
                    let run = try await Binary.run(["run", "run.yaml"] + two.flatMap { ["--set", $0] }, in: folder)
                    #expect(run.status == 0, "\(run.errors)")
                }
            }
        }
    }

    // MARK: The day

    private static func prompts(_ run: String) throws -> [String] {
        try String(contentsOfFile: "\(run)/samples.jsonl", encoding: .utf8).split(separator: "\n").map { line in
            let json = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            return try #require(json?["prompt"] as? String)
        }
    }

    /// A run that begins takes today; one that goes on, or comes from another, takes the day of its beginning.
    @Test func theDayOfARunIsThatOfItsBeginning() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 2)
            for model in ["student", "teacher"] {
                try Self.setTemplate("{{ strftime_now('%d %b %Y') }}\n" + TinyModel.chatML, of: "\(folder)/\(model)")
            }
            func run(_ arguments: [String]) async throws -> Binary.Output {
                try await Binary.run(["run", "run.yaml"] + arguments, in: folder)
            }
            let formatter = DateFormatter()
            formatter.timeZone = TimeZone(identifier: "UTC")
            formatter.locale = Locale(identifier: "en_US_POSIX")
            formatter.dateFormat = "yyyy-MM-dd"
            let before = formatter.string(from: Date())
            let fresh = try await run(["--set", "name=today"])
            let after = formatter.string(from: Date())
            #expect(fresh.status == 0, "\(fresh.errors)")
            let resolved = try String(contentsOfFile: "\(folder)/runs/today/config.yaml", encoding: .utf8)
            #expect([before, after].contains { resolved.contains("date: '\($0)'") }, "\(resolved)")

            let first = try await run(["--set", "data.date=2001-02-03"])
            #expect(first.status == 0, "\(first.errors)")
            // As on any later day: nobody says the date again.
            let second = try await run(["--resume", "--set", "training.steps=4"])
            #expect(second.status == 0, "\(second.errors)")
            let read = try Self.prompts("\(folder)/runs/tiny")
            #expect(read.count > 8 && read.allSatisfy { $0.hasPrefix("03 Feb 2001\n<|im_start|>user") }, "\(read)")
            let third = try await run(
                ["--from", "runs/tiny/checkpoints/step-000004", "--set", "name=next", "--set", "training.steps=5"])
            #expect(third.status == 0, "\(third.errors)")
            #expect(try Self.prompts("\(folder)/runs/next").allSatisfy { $0.hasPrefix("03 Feb 2001\n") })
            // Another day would be other prompts.
            let changed = try await run(["--resume", "--set", "training.steps=6", "--set", "data.date=2001-02-04"])
            #expect(changed.status == 2 && changed.errors.contains("data.date"), "\(changed.errors)")
        }
    }
}

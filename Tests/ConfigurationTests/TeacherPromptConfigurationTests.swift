import Configuration
import Foundation
import Testing

/// What only teachers are shown: keys, and fields of prompt files.
@Suite struct TeacherPromptConfigurationTests {
    private func read(
        _ text: String, as name: String = "p.jsonl", fields: PromptFields = .init(),
        _ contextFields: [String: String] = ["default": "solution"]
    ) throws -> [[String: String]] {
        try PromptFile.parse(
            Data(text.utf8), source: name, teachers: ["default", "math"], defaultTeacher: "default", fields: fields,
            contextFields: contextFields
        ).map(\.contexts)
    }

    @Test func theFieldIsReadForItsTeacherAlone() throws {
        let lines = """
            {"prompt": "a", "solution": "x = 4", "tags": ["t"]}
            {"prompt": "b", "teacher": "math", "solution": 7}
            {"prompt": "c", "solution": 2.5}
            """
        #expect(try read(lines) == [["default": "x = 4"], [:], ["default": "2.5"]])
        let both = ["default": "solution", "math": "answer"]
        let known = "{\"prompt\": \"b\", \"teacher\": \"math\", \"answer\": \"9\", \"solution\": \"s\"}"
        #expect(try read(known, both) == [["math": "9"]])
    }

    @Test func filesOfOtherFormsHaveItToo() throws {
        var fields = PromptFields()
        fields.prompt = "question"
        let nested = "{\"question\": \"a\", \"about\": {\"proof\": \"p\"}, \"solution\": \"s\"}"
        #expect(try read(nested, fields: fields, ["default": "about.proof"]) == [["default": "p"]])
        #expect(try read("prompt,solution\na,\"1, 2\"\n", as: "p.csv") == [["default": "1, 2"]])
        let alpaca = "{\"instruction\": \"a\", \"output\": \"done\", \"solution\": \"s\"}"
        #expect(try read(alpaca, ["default": "output"]) == [["default": "done"]])
        #expect(try read(alpaca) == [["default": "s"]])
    }

    @Test(arguments: [
        ("{\"prompt\": \"a\"}", "has no 'solution', which teachers.default.context_field names"),
        ("{\"prompt\": \"a\", \"solution\": null}", "has no 'solution', which teachers.default.context_field names"),
        ("{\"prompt\": \"a\", \"solution\": \"\"}", "has no 'solution', which teachers.default.context_field names"),
        (
            "{\"prompt\": \"a\", \"solution\": [1]}",
            "'solution', which teachers.default.context_field names, must be text"
        ),
        ("{\"prompt\": \"a\", \"solution\": \"s\", \"hint\": \"h\"}", "unknown key 'hint'; "),
    ]) func aLineWithoutItIsNamed(line: String, message: String) {
        let error = #expect(throws: ConfigurationError.self) { try read(line) }
        #expect(error?.description.hasPrefix("p.jsonl:1: \(message)") == true, "\(error?.description ?? "")")
    }

    @Test func theKeysAreInTheResolvedConfigurationAndStay() throws {
        let shown = ["teachers.default.system='Read this:'", "teachers.default.context_field=solution"]
        let configuration = try parse(minimal, shown)
        #expect(configuration.teachers["default"]?.system == "Read this:")
        #expect(configuration.contextFields == ["default": "solution"])
        #expect(try parse(configuration.yaml(markingDefaults: true)) == configuration)
        let old = try parse(minimal)
        #expect(configuration.refusedChanges(since: old, to: .resume).count == 2)
        #expect(configuration.refusedChanges(since: old, to: .fork) == [])
        // Without teachers nobody is shown anything.
        #expect(try parse(minimal, shown + ["objective.kind=supervised"]).contextFields == [:])
    }

    @Test func problemsOfATaskHaveTwoFields() throws {
        let task = minimal.replacing("prompts: p.jsonl", with: "task: arithmetic")
        #expect(problems(task, ["teachers.default.context_field=response"]) == [])
        #expect(
            problems(task, ["teachers.default.context_field=solution"]) == [
                "--set: teachers.default.context_field: problems of a data.task have answer and response, and no 'solution'"
            ])
    }
}

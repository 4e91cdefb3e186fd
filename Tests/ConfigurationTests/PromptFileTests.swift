import Configuration
import Foundation
import Testing

@Suite struct PromptFileTests {
    private func read(_ text: String, teachers: [String] = ["default"]) throws -> [Prompt] {
        try PromptFile.parse(
            Data(text.utf8), source: "p.jsonl", teachers: teachers,
            defaultTeacher: teachers.contains("default") ? "default" : nil)
    }

    @Test func bothFormsAreRead() throws {
        let prompts = try read(
            """
            {"prompt": "Hi", "answer": "4", "tags": ["a", "b"]}

            {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hé"}], "teacher": "math"}\r
            """, teachers: ["default", "math"])
        #expect(
            prompts == [
                Prompt(
                    messages: [.init(role: "user", content: "Hi")], answer: "4", teacher: "default", tags: ["a", "b"]),
                Prompt(
                    messages: [.init(role: "system", content: "Be brief."), .init(role: "user", content: "Hé")],
                    teacher: "math"),
            ])
    }

    @Test(arguments: [
        ("{\"prompt\": \"Hi\"", "is not JSON; each line must be one complete JSON object"),
        ("[1]", "expected an object such as {\"prompt\": \"...\"}"),
        ("{}", "has neither 'prompt' nor 'messages'"),
        ("{\"prompt\": \"a\", \"messages\": []}", "has both 'prompt' and 'messages'; give one"),
        ("{\"prompt\": \"\"}", "'prompt' must be text that is not empty"),
        ("{\"prompt\": 3}", "'prompt' must be text that is not empty"),
        ("{\"promt\": \"a\"}", "unknown key 'promt'; did you mean 'prompt'?"),
        ("{\"prompt\": \"a\", \"answer\": 4}", "'answer' must be text"),
        ("{\"prompt\": \"a\", \"tags\": \"x\"}", "'tags' must be a list of texts"),
        ("{\"prompt\": \"a\", \"teacher\": \"b\"}", "unknown teacher 'b'; the configuration has default"),
        ("{\"messages\": []}", "'messages' must be a list of {\"role\": ..., \"content\": ...}"),
        ("{\"messages\": [{\"role\": \"user\"}]}", "message 1 must have a text 'role' and a text 'content', no more"),
        (
            "{\"messages\": [{\"role\": \"robot\", \"content\": \"\"}]}",
            "message 1: role 'robot' is not one of system, user, assistant, tool"
        ),
        (
            "{\"messages\": [{\"role\": \"assistant\", \"content\": \"x\"}]}",
            "the last message must be the user's: the student answers it"
        ),
    ])
    func aBadLineIsNamed(line: String, message: String) {
        let error = #expect(throws: ConfigurationError.self) { try read("{\"prompt\": \"ok\"}\n" + line) }
        #expect(error?.description == "p.jsonl:2: \(message)")
    }

    @Test func anEmptyFileAndAFloodOfProblemsAreBounded() {
        #expect(throws: ConfigurationError.self) { try read("\n \n") }
        let error = #expect(throws: ConfigurationError.self) { try read(String(repeating: "x\n", count: 1000)) }
        #expect(error?.problems.count == PromptFile.problemLimit + 1)
        let bytes = Data([0x22, 0xff, 0x22])
        let invalid = #expect(throws: ConfigurationError.self) {
            try PromptFile.parse(bytes, source: "p", teachers: ["default"], defaultTeacher: "default")
        }
        #expect(invalid?.description == "p:1: is not UTF-8 text")
    }

    @Test func withSeveralTeachersAndNoDefaultEachLineNamesOne() {
        let error = #expect(throws: ConfigurationError.self) { try read("{\"prompt\": \"a\"}", teachers: ["x", "y"]) }
        #expect(
            error?.description
                == "p.jsonl:1: names no teacher and none is called 'default'; add \"teacher\": one of x, y")
    }
}

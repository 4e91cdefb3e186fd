import Configuration
import Distillation
import Foundation
import JSON
import Telemetry
import Testing

@Suite struct PromptFileTests {
    private func read(_ text: String, teachers: [String] = ["default"]) throws -> [PromptLine] {
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
                PromptLine(
                    messages: [.init(role: "user", content: "Hi")], answer: "4", teacher: "default", tags: ["a", "b"]),
                PromptLine(
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
        ("{\"messages\": [{\"role\": \"user\"}]}", "message 1 must have a text 'role' and a text 'content'"),
        (
            "{\"messages\": [{\"role\": \"user\", \"content\": \"x\", \"tool_call\": []}]}",
            "message 1: unknown key 'tool_call'; did you mean 'tool_calls'?"
        ),
        (
            "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]}",
            "message 1: a part 'image_url' of its content is no text, and only text is read"
        ),
        (
            "{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"x\"}]}]}",
            "message 1: the 'arguments' of a tool call must be an object, or JSON of one"
        ),
        (
            "{\"prompt\": \"a\", \"tools\": [\"f\"]}",
            "'tools' must be a list of objects, each the description of a function"
        ),
        ("{\"prompt\": \"a\", \"prompt\": \"b\"}", "key 'prompt' stands there twice"),
        (
            "{\"messages\": [{\"role\": \"robot\", \"content\": \"\"}]}",
            "message 1: role 'robot' is not one of system, developer, user, assistant, tool"
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

    /// What a chat template prints: the order of a tool's keys is that of the file, calls have objects as arguments.
    @Test func toolsAndCallsKeepTheirOrder() throws {
        let line = """
            {"tools": [{"type": "function", "function": {"name": "w", "b": 1, "a": 2.0}}], "messages": [\
            {"role": "user", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]}, \
            {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": \
            [{"id": "1", "function": {"name": "w", "arguments": "{\\"z\\": 1, \\"y\\": 2}"}}]}, \
            {"tool_call_id": "1", "role": "tool", "content": "9"}]}
            """
        let prompt = try #require(try read(line).first)
        #expect(prompt.tools == [["type": "function", "function": ["name": "w", "b": 1, "a": 2.0]]])
        #expect(prompt.messages.map(\.content) == ["AB", "", "9"])
        #expect(
            prompt.messages.map(\.object) == [
                ["role": "user", "content": "AB"],
                [
                    "role": "assistant", "content": nil, "reasoning_content": "hm",
                    "tool_calls": [["id": "1", "function": ["name": "w", "arguments": ["z": 1, "y": 2]]]],
                ],
                ["tool_call_id": "1", "role": "tool", "content": "9"],
            ])
    }

    @Test func verifiersAndResponsesAreRead() throws {
        let prompts = try read(
            """
            {"prompt": "a", "answer": "4", "verifier": "numeric", "response": "2 and 2 is 4"}
            {"prompt": "b", "answer": "X", "verifier": {"name": "exact", "after": ":", "ignore_case": true}}
            {"prompt": "c", "verifier": {"name": "regex", "pattern": "^y"}}
            {"prompt": "d", "answer": "3", "verifier": {"name": "numeric", "tolerance": 1, "after": null}}
            {"prompt": "e", "verifier": {"name": "rules", "rules": ["max_words 5", "uppercase"]}}
            {"prompt": "f", "answer": "4"}
            """)
        #expect(prompts[0].response == "2 and 2 is 4")
        #expect(prompts[0].check == (try AnswerCheck(answer: "4", verifier: .numeric(after: nil, tolerance: 0))))
        #expect(prompts[1].check == (try AnswerCheck(answer: "X", verifier: .exact(after: ":", ignoresCase: true))))
        #expect(prompts[2].check?.verdict(on: "yes").passed == true)
        #expect(prompts[3].check?.verdict(on: "about 3.9").passed == true)
        #expect(prompts[4].check?.verifier == .rules([.maxWords(5), .uppercase]))
        #expect(prompts[5].check == nil && prompts[5].answer == "4")
    }

    /// What `opd task` prints is what a prompt file takes, with the same judgement.
    @Test(arguments: ["arithmetic:digits=3", "format"]) func problemsSurviveTheFile(task: String) throws {
        let problems = try ExerciseGenerator(task).exercises(.heldout, seed: 4, count: 50)
        let prompts = try read(problems.map(\.jsonLine).joined(separator: "\n"))
        #expect(prompts.map(\.messages.first?.content) == problems.map(\.prompt))
        #expect(prompts.map(\.response) == problems.map(\.response))
        #expect(prompts.map(\.check) == problems.map(\.check))
        #expect(prompts.map(\.tags) == problems.map(\.tags))
    }

    @Test(arguments: [
        ("\"exakt\"", "unknown verifier 'exakt'; did you mean 'exact'?"),
        ("\"exact\"", "verifier exact needs an answer"),
        ("7", "'verifier' must be a name or an object such as {\"name\": \"exact\"}"),
        ("{}", "'verifier' has no 'name'"),
        ("{\"name\": \"rules\"}", "verifier: 'rules' must be a list of 1 to 64 texts, such as [\"max_words 5\"]"),
        ("{\"name\": \"regex\", \"patern\": \"a\"}", "verifier regex has no 'patern'; it takes after, pattern"),
        ("{\"name\": \"rules\", \"rules\": [\"words x\"]}", "rule 'words' takes a number, such as 'words 5', not 'x'"),
        ("{\"name\": \"numeric\", \"tolerance\": \"x\"}", "verifier: 'tolerance' must be a number of at least 0"),
        ("{\"name\": \"exact\", \"ignore_case\": \"x\"}", "verifier: 'ignore_case' must be true or false"),
    ])
    func aBadVerifierIsNamed(verifier: String, message: String) {
        let error = #expect(throws: ConfigurationError.self) {
            try read("{\"prompt\": \"a\", \"verifier\": \(verifier)}")
        }
        #expect(error?.description == "p.jsonl:1: \(message)")
    }

    @Test func aPatternThatIsWrongIsNamedWithItsLine() {
        let error = #expect(throws: ConfigurationError.self) {
            try read("{\"prompt\": \"a\", \"verifier\": {\"name\": \"regex\", \"pattern\": \"(\"}}")
        }
        #expect(error?.description.hasPrefix("p.jsonl:1: pattern '(' is wrong at byte 1: ") == true)
    }

    @Test func aFileServesARunWithoutTeachers() throws {
        #expect(try read("{\"prompt\": \"a\", \"teacher\": \"math\"}", teachers: []).map(\.teacher) == [nil])
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

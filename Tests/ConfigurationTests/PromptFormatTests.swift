import Configuration
import Foundation
import JSON
import Testing

/// Prompt files as people have them: other containers, other columns.
@Suite struct PromptFormatTests {
    private func read(
        _ text: String, as name: String = "p.jsonl", fields: [String: String] = [:],
        responses: PromptFile.Responses = .unused
    ) throws -> (prompts: [PromptLine], notes: [String]) {
        var names = PromptFields(), notes: [String] = []
        names.prompt = fields["prompt"]
        names.messages = fields["messages"]
        names.system = fields["system"]
        names.answer = fields["answer"]
        names.response = fields["response"]
        let prompts = try PromptFile.parse(
            Data(text.utf8), source: name, teachers: ["default"], defaultTeacher: "default", responses: responses,
            fields: names, note: { notes.append($0) })
        return (prompts, notes)
    }

    private func refusal(_ text: String, as name: String = "p.jsonl", fields: [String: String] = [:]) -> String? {
        #expect(throws: ConfigurationError.self) { try read(text, as: name, fields: fields) }?.description
    }

    @Test func shareGPTIsRead() throws {
        let line = """
            {"id": "x1", "system": "Be brief.", "source": 3, "conversations": [{"from": "human", "value": "Hi"}, \
            {"from": "gpt", "value": "Yes?"}, {"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]}
            """
        let (prompts, notes) = try read(line)
        #expect(prompts[0].messages.map(\.role) == ["system", "user", "assistant", "user"])
        #expect(prompts[0].messages.map(\.content) == ["Be brief.", "Hi", "Yes?", "Why?"])
        #expect(prompts[0].messages[1].object == ["role": "user", "content": "Hi"])
        #expect(
            notes == [
                "p.jsonl: ignores id, source",
                "p.jsonl: 1 conversation ends with a message of the assistant, which is no part of the prompt",
            ])
        // Where responses are imitated, the last one is it.
        let supervised = try read(line, responses: .needed)
        #expect(supervised.prompts[0].response == "So." && supervised.notes.count == 1)
    }

    @Test func callsOfShareGPTAreCalls() throws {
        let (prompts, _) = try read(
            """
            {"tools": "[{\\"name\\": \\"add\\"}]", "conversations": [{"from": "human", "value": "1+2"}, \
            {"from": "function_call", "value": "{\\"name\\": \\"add\\", \\"arguments\\": {\\"b\\": 2, \\"a\\": 1}}"}, \
            {"from": "observation", "value": "3"}]}
            """)
        #expect(prompts[0].tools == [["name": "add"]])
        #expect(
            prompts[0].messages[1].object == [
                "role": "assistant", "content": nil,
                "tool_calls": [["type": "function", "function": ["name": "add", "arguments": ["b": 2, "a": 1]]]],
            ])
        #expect(prompts[0].messages[2].role == "tool")
        #expect(
            refusal("{\"conversations\": [{\"from\": \"alien\", \"value\": \"x\"}]}")?.hasPrefix(
                "p.jsonl:1: message 1: 'from' is 'alien', not one of assistant, ") == true)
    }

    @Test func alpacaIsRead() throws {
        let text = """
            [{"instruction": "Add.", "input": "1 and 2", "output": "3", "text": "all of it"},
             {"instruction": "Greet.", "input": "", "output": "Hello"}]
            """
        let (prompts, notes) = try read(text, as: "alpaca.json", responses: .needed)
        #expect(prompts.map { $0.messages[0].content } == ["Add.\n\n1 and 2", "Greet."])
        #expect(prompts.map(\.response) == ["3", "Hello"])
        #expect(notes == ["alpaca.json: ignores text"])
        #expect(
            refusal("[{\"instruction\": \"a\", \"history\": [[\"q\", \"a\"]]}]")
                == "p.jsonl: item 1: has a 'history', which is not read; write the conversation as 'messages'")
    }

    @Test func chatLinesAndPromptsOfMessagesAreRead() throws {
        let (prompts, notes) = try read(
            """
            {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}], \
            "parallel_tool_calls": false}
            {"prompt": [{"role": "user", "content": "Why?"}], "completion": [{"role": "assistant", "content": "So."}]}
            """, responses: .taken)
        #expect(prompts.map { $0.messages.map(\.content) } == [["Hi"], ["Why?"]])
        #expect(prompts.map(\.response) == ["Yes?", "So."])
        #expect(notes == ["p.jsonl: ignores parallel_tool_calls"])
    }

    @Test func columnsOfAnyNameAreRead() throws {
        let text = """
            {"question": "1+1?", "solution": 2, "meta": {"gold": "two"}, "level": "easy"}
            {"question": "2+2?", "solution": "4", "meta": {"gold": "four"}}
            """
        let (prompts, notes) = try read(text, fields: ["prompt": "question", "answer": "solution"])
        #expect(prompts.map { $0.messages[0].content } == ["1+1?", "2+2?"])
        #expect(prompts.map(\.answer) == ["2", "4"])
        #expect(notes == ["p.jsonl: ignores meta, level"])
        let nested = try read(text, fields: ["prompt": "question", "answer": "meta.gold"])
        #expect(nested.prompts.map(\.answer) == ["two", "four"])
        #expect(
            refusal(text, fields: ["prompt": "question", "answer": "solutoin"])
                == "p.jsonl: data.fields.answer: nothing here has 'solutoin'; did you mean 'solution'?")
        #expect(
            refusal("{\"question\": \"a\"}\n{\"q\": 1}", fields: ["prompt": "question"])
                == "p.jsonl:2: has no 'question', which data.fields.prompt names")
        #expect(
            refusal("{\"prompt\": \"a\", \"difficulty\": 3}")?.hasSuffix(
                "; data.fields reads files with other columns") == true)
    }

    @Test func tablesAreRead() throws {
        let text = "\u{feff}prompt,answer,tags\r\n\"a, \"\"b\"\"\nc\",4,\"[\"\"x\"\", \"\"y\"\"]\"\r\n\r\nplain,,\r\n"
        let (prompts, notes) = try read(text, as: "p.csv")
        #expect(prompts.map { $0.messages[0].content } == ["a, \"b\"\nc", "plain"])
        #expect(prompts.map(\.answer) == ["4", nil] && prompts.map(\.tags) == [["x", "y"], []])
        #expect(notes == [])
        let numbered = try read(",q,level\n0,Hi,\n1,Why?,2\n", as: "P.CSV", fields: ["prompt": "q"])
        #expect(numbered.prompts.count == 2 && numbered.notes == ["P.CSV: ignores '', level"])
    }

    @Test(arguments: [
        ("prompt\na\n\"b", "p.csv:3: a quoted field does not end"),
        ("prompt\na\n\n\"b\"c\n", "p.csv:4: text follows a closing quote; quotes within a quoted field are doubled"),
        ("prompt\na\"b\n", "p.csv:2: a quote stands within a field that does not begin with one"),
        ("prompt,answer\na\n", "p.csv:2: has 1 fields, but the first line names 2 columns"),
        ("prompt,prompt\na,b\n", "p.csv:1: the column 'prompt' stands there twice"),
        ("prompt\n", "p.csv: holds no prompts"),
        ("", "p.csv: holds no prompts"),
        ("question\na\n", "p.csv:2: unknown key 'question'; expected"),
    ])
    func aBadTableIsNamed(text: String, message: String) {
        #expect(refusal(text, as: "p.csv")?.hasPrefix(message) == true)
    }

    @Test(arguments: [
        ("PAR1\u{15}", "p.jsonl", "p.jsonl: is a Parquet file, which is not read; convert it with: python3 -c"),
        ("x", "train.parquet", "train.parquet: is a Parquet file"),
        ("ARROW1", "p", "p: is an Arrow file"),
        ("PK\u{3}\u{4}", "p.jsonl", "p.jsonl: is compressed with zip; unpack it first"),
        ("[{\"prompt\": \"a\"},\n{]", "p.json", "p.json:2: is a list that is not JSON: "),
        ("[{\"prompt\": \"a\"}, 3]", "p.json", "p.json: item 2: expected an object such as"),
    ])
    func anotherKindOfFileIsNamed(text: String, name: String, message: String) {
        #expect(refusal(text, as: name)?.hasPrefix(message) == true)
    }

    @Test func theConfigurationNamesFieldsAndStops() throws {
        func load(_ overrides: [String]) throws -> RunConfiguration {
            let text = "name: x\nstudent: { model: m }\nteachers: { default: { model: t } }\ndata: { prompts: p }\n"
            return try RunConfiguration.parse(text, source: "run.yaml", overrides: overrides, requiring: [])
                .configuration
        }
        let configuration = try load([
            "data.fields={ prompt: question, answer: solution }", "sampling.stop=[\"\\n\\n\", \"it's\"]",
            "sampling.min_tokens=3", "sampling.ignore_eos=true", "data.overlong=truncate",
        ])
        #expect(configuration.data.fields.prompt == "question" && configuration.data.fields.answer == "solution")
        #expect(configuration.sampling.stop == ["\n\n", "it's"])
        let settings = configuration.sampling.settings(stopTokenIDs: [7])
        #expect(settings.stop == ["\n\n", "it's"] && settings.minTokens == 3 && settings.stopTokenIDs == [])
        #expect(try load(["sampling.stop=END"]).sampling.stop == ["END"])
        let again = try RunConfiguration.parse(configuration.yaml(), source: "again", requiring: []).configuration
        #expect(again == configuration)
        for (override, message) in [
            ("sampling.min_tokens=129", "129 is above sampling.max_tokens 128"),
            ("sampling.stop=['']", "expected texts of 1 to 1024 bytes"),
            ("sampling.stop=[a, a]", "'a' is given twice"),
            ("data.fields={ answer: a }", "names neither 'prompt' nor 'messages', of which a prompt is made"),
            ("data.fields={ prompt: a, messages: b }", "names both 'prompt' and 'messages'; give one"),
            ("data.overlong=trunc", "expected one of refuse, drop, truncate, got 'trunc'"),
        ] {
            let error = #expect(throws: ConfigurationError.self) { try load([override]) }
            #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
        }
    }
}

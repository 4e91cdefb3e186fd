import Templates
import Testing

/// What templates write between two answers.
@Suite struct TurnContinuationTests {
    private func template(_ source: String) throws -> ChatTemplate {
        ChatTemplate(try Template(source, name: "test"), origin: .model(file: "test"))
    }

    private func builtIn(_ name: String) throws -> ChatTemplate {
        try #require(ChatTemplate.builtIn(name))
    }

    @Test func builtInTemplatesAreCut() throws {
        let chatML = try TurnContinuation(builtIn("chatml"), role: "user")
        #expect(
            try chatML.text(telling: "7 first-answer-mark")
                == "<|im_end|>\n<|im_start|>user\n7 first-answer-mark<|im_end|>\n<|im_start|>assistant\n")
        // What follows an answer is what the whole conversation has there.
        for name in ["chatml", "llama3"] {
            let template = try builtIn(name)
            let question = Conversation(user: "2+3?")
            var longer = question
            longer.messages += [
                ["role": "assistant", "content": "calc(2+3)"], ["role": "user", "content": "it is 5"],
            ]
            let parts = try TurnContinuation(template, role: "user").text(telling: "it is 5")
            #expect(try template.render(longer) == (try template.render(question)) + "calc(2+3)" + parts)
        }
        #expect(try TurnContinuation(.missing, role: "user").text(telling: "higher\n") == "higher\n")
    }

    @Test(arguments: [
        // Thoughts are dropped once they are history.
        (
            "{% for m in messages %}[{{ m.role }}]{% if not (m.role == 'assistant' and not loop.last) %}"
                + "{{ m.content }}{% endif %};{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
            "writes an answer otherwise"
        ),
        // The number of messages is written.
        (
            "{% for m in messages %}[{{ m.role }}]{{ m.content }};{% endfor %}"
                + "{% if add_generation_prompt %}{{ messages | length }}[assistant]{% endif %}",
            "writes an answer otherwise"
        ),
        (
            "{% for m in messages %}{% if m.role != 'user' or loop.first %}"
                + "[{{ m.role }}]{{ m.content }};{% endif %}{% endfor %}"
                + "{% if add_generation_prompt %}[assistant]{% endif %}",
            "leaves out messages"
        ),
        ("{% if messages | length > 1 %}{{ raise_exception('one') }}{% endif %}{{ messages[0].content }}", "one"),
    ])
    func templatesThatCannotBeCutAreRefused(source: String, part: String) throws {
        let template = try template(source)
        #expect {
            try TurnContinuation(template, role: "user")
        } throws: { error in
            "\(error)".contains(part) && "\(error)".contains("test")
        }
        #expect(throws: TemplateError.self) { try TurnContinuation(.missing, role: "tool") }
    }
}

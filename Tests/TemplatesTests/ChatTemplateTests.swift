import JSON
import Templates
import Testing

@Suite struct ChatTemplateTests {
    static let chat = Conversation(
        [
            ["role": "system", "content": "Be kind."], ["role": "user", "content": " Hi "],
            ["role": "assistant", "content": "Hello"], ["role": "user", "content": "Bye"],
        ], addsGenerationPrompt: false)
    static let user = Conversation(user: "Hi")

    static let smollm2 =
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        + "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM<|im_end|>\n' }}{% endif %}"
        + "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

    static func templates(_ source: String, _ variables: JSONObject = JSONObject()) -> ModelTemplates {
        ModelTemplates([.init(name: "default", source: source, file: "chat_template.jinja")], variables: variables)
    }

    @Test func modelsOwn() throws {
        let own = try Self.templates(Self.smollm2).template()
        #expect(own.endOfAnswer.hasPrefix("<|im_end|>") && !own.isPlain)
        #expect(
            try own.render(Self.user)
                == "<|im_start|>system\nYou are a helpful AI assistant named SmolLM<|im_end|>\n"
                + "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
        #expect(
            try own.render(Self.chat)
                == "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n Hi <|im_end|>\n"
                + "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n")
    }

    @Test func builtIn() throws {
        func render(_ name: String, _ conversation: Conversation) throws -> String {
            try #require(ChatTemplate.builtIn(name)).render(conversation)
        }
        #expect(
            try render("chatml", Self.user) == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
        #expect(
            try render("chatml", Self.chat)
                == "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n Hi <|im_end|>\n"
                + "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n")
        #expect(
            try render("llama3", Self.chat)
                == "<|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
                + "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
                + "<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>"
                + "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>")
        #expect(
            try render("llama3", Self.user).hasSuffix("Hi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"))
        #expect(
            try render("mistral", Self.chat) == "[INST] Be kind.\n\n Hi  [/INST]Hello</s>[INST] Bye [/INST]")
        #expect(try render("plain", Self.chat) == "Be kind.\n\n Hi \n\nHello\n\nBye")
        #expect(ChatTemplate.builtIn("alpaca") == nil)
        #expect(ChatTemplate.builtIn("mistral")?.endOfAnswer == "</s>")
        #expect(ChatTemplate.missing.isPlain && ChatTemplate.missing.reason.contains("no chat template"))
    }

    /// Many templates write what they know of system and user, and nothing of a developer.
    @Test func whatADeveloperSaysIsNotDroppedSilently() throws {
        let chat = Conversation([["role": "developer", "content": "Be brief. "], ["role": "user", "content": "Hi"]])
        #expect(try #require(ChatTemplate.builtIn("chatml")).part(leftOutOf: chat) == nil)
        let deaf = try Self.templates(
            "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", [:]
        ).template()
        #expect(deaf.part(leftOutOf: chat) == "messages of a developer")
        #expect(deaf.part(leftOutOf: Self.user) == nil)
    }

    @Test func names() throws {
        var models = Self.templates("{{ bos_token }}default", ["bos_token": "<s>"])
        models.entries.append(.init(name: "rag", source: "rag", file: "tokenizer_config.json"))
        models.entries.append(.init(name: "tool_use", source: "tools", file: "tokenizer_config.json"))
        var conversation = Self.user
        #expect(try models.template().render(conversation) == "<s>default")
        #expect(try models.template(named: "rag").render(conversation) == "rag")
        #expect(try models.template(named: "chatml").render(conversation).hasPrefix("<|im_start|>"))
        conversation.tools = [["type": "function"]]
        #expect(try models.template().render(conversation) == "tools")
        let error = #expect(throws: TemplateError.self) { try models.template(named: "alpaca") }
        #expect(error?.message.contains("alpaca") == true && error?.message.contains("rag") == true)
        #expect(try ModelTemplates().template() == .missing)
    }

    @Test func refusalsNameFileLineAndConstruct() throws {
        let unknown = #expect(throws: TemplateError.self) {
            try Self.templates("a\n{% include 'x' %}").template()
        }
        #expect(unknown?.message.contains("chat_template.jinja, line 2: '{% include %}'") == true)
        let raised = #expect(throws: TemplateError.self) {
            try Self.templates("\n\n{{ raise_exception('roles must alternate') }}").template().render(Self.user)
        }
        #expect(raised?.kind == .raised && raised?.line == 3 && raised?.reason == "roles must alternate")
        let undefined = #expect(throws: TemplateError.self) {
            try Self.templates("{{ a.b }}").template().render(Self.user)
        }
        #expect(undefined?.reason == "'a' is undefined")
    }

    @Test func identity() throws {
        func text(_ source: String, _ variables: JSONObject) throws -> String {
            try Self.templates(source, variables).template().canonicalText
        }
        let source = "{{ bos_token }}x"
        #expect(try text(source, ["bos_token": "a", "pad_token": "b"]) == text(source, ["bos_token": "a"]))
        #expect(try text(source, ["bos_token": "a"]) != text(source, ["bos_token": "b"]))
        #expect(try text(source, ["bos_token": "a"]) != text(source + "y", ["bos_token": "a"]))
    }

    @Test func messagesAreNormalised() throws {
        let template = try Self.templates("{{ messages[0] }}").template()
        let conversation = Conversation([["role": "user", "content": .null, "reasoning": "r"]])
        #expect(
            try template.render(conversation)
                == "{'thinking': 'r', 'role': 'user', 'reasoning': 'r', 'reasoning_content': 'r'}")
        let thinking = Conversation([["role": "assistant", "thinking": "t", "reasoning_content": "r", "content": "c"]])
        #expect(
            try template.render(thinking)
                == "{'thinking': 't', 'role': 'assistant', 'reasoning_content': 'r', 'content': 'c'}")
        let withSystem = Self.user.with(system: "S")
        #expect(withSystem.messages.count == 2 && withSystem.with(system: "T") == withSystem)
    }
}

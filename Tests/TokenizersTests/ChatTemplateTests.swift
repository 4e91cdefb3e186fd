import Testing
import Tokenizers

@Suite struct ChatTemplateTests {
    static let chat = [
        ChatMessage(role: "system", content: "Be kind."), ChatMessage(role: "user", content: " Hi "),
        ChatMessage(role: "assistant", content: "Hello"), ChatMessage(role: "user", content: "Bye"),
    ]
    static let user = [ChatMessage(role: "user", content: "Hi")]

    static let smollm2 =
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        + "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM<|im_end|>\n' }}{% endif %}"
        + "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

    @Test func chatML() {
        let own = ChatTemplate.recognizing(jinja: Self.smollm2, beginOfSequence: "<|im_start|>", endOfSequence: nil)
        #expect(own.kind == .chatml && own.defaultSystem == "You are a helpful AI assistant named SmolLM")
        #expect(own.stopTokens == ["<|im_end|>"])
        #expect(
            own.render(Self.user, addGenerationPrompt: true)
                == "<|im_start|>system\nYou are a helpful AI assistant named SmolLM<|im_end|>\n"
                + "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
        #expect(
            own.render(Self.chat, addGenerationPrompt: false)
                == "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n Hi <|im_end|>\n"
                + "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n")
    }

    /// Templates are recognised in time that grows with their length, or not looked at.
    @Test func longTemplates() {
        let spaces = String(repeating: " ", count: 100_000)
        let spaced = Self.smollm2.replacing(" + ", with: "\(spaces)+ ")
        let own = ChatTemplate.recognizing(jinja: spaced, beginOfSequence: nil, endOfSequence: nil)
        #expect(own.kind == .plain && own.reason.contains("longer than any real one"))
        let wide = Self.smollm2.replacing(" + message['role']", with: spaces + "+  message['role']")
        let recognised = ChatTemplate.recognizing(jinja: wide, beginOfSequence: nil, endOfSequence: nil)
        #expect(recognised.kind == .chatml)
        // Openings without an end: each would be searched to the end of the text.
        let openings = String(repeating: "<|im_start|>system\n{{", count: 10_000)
        let open = ChatTemplate.recognizing(
            jinja: openings + Self.smollm2, beginOfSequence: nil, endOfSequence: nil)
        #expect(open.kind == .chatml && open.defaultSystem == nil)
    }

    @Test func qwenWithEscapedNewlinesAndTools() {
        let jinja = #"""
            {%- if tools %}
                {{- '<|im_start|>system\n' }}
                {%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] }}{%- else %}
                    {{- 'You are Qwen.' }}{%- endif %}
            {%- else %}
                {%- if messages[0]['role'] == 'system' %}
                    {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
                {%- else %}
                    {{- '<|im_start|>system\nYou are Qwen, made to help.<|im_end|>\n' }}
                {%- endif %}
            {%- endif %}
            {%- for message in messages %}
                {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
            {%- endfor %}
            """#
        let own = ChatTemplate.recognizing(jinja: jinja, beginOfSequence: nil, endOfSequence: nil)
        #expect(own.kind == .chatml && own.defaultSystem == "You are Qwen, made to help.")
    }

    @Test func llama3() {
        let jinja =
            "{{- bos_token }}{{- \"Cutting Knowledge Date: December 2023\\n\" }}{%- for message in messages %}"
            + "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + "
            + "'<|eot_id|>' }}{%- endfor %}"
        let own = ChatTemplate.recognizing(jinja: jinja, beginOfSequence: "<|begin_of_text|>", endOfSequence: nil)
        #expect(
            own.render(Self.user, addGenerationPrompt: true)
                == "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
                + "Today Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
                + "<|start_header_id|>assistant<|end_header_id|>\n\n")
        let older = ChatTemplate.recognizing(
            jinja: jinja.replacing("Cutting Knowledge Date: December 2023", with: ""), beginOfSequence: "<b>",
            endOfSequence: nil)
        #expect(
            older.render(Array(Self.chat.prefix(2)), addGenerationPrompt: false)
                == "<b><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
                + "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>")
        #expect(own != older)
    }

    @Test func mistral() {
        let jinja =
            #"{{- bos_token }}{%- if loop.last and system_message is defined %}{{- "[INST]" + system_message + "\n\n" "#
            + #"+ message["content"] + "[/INST]" }}{%- else %}{{- "[INST]" + message["content"] + "[/INST]" }}"#
        let own = ChatTemplate.recognizing(jinja: jinja, beginOfSequence: "<s>", endOfSequence: "</s>")
        #expect(
            own.render(Self.chat, addGenerationPrompt: true)
                == "<s>[INST] Hi [/INST]Hello</s>[INST]Be kind.\n\nBye[/INST]")
        #expect(own.stopTokens == ["</s>"])
    }

    @Test func othersArePlainAndSayWhy() throws {
        let none = ChatTemplate.recognizing(jinja: nil, beginOfSequence: nil, endOfSequence: nil)
        #expect(none.kind == .plain && none.reason.contains("no chat template"))
        let phi = "{{'<|im_start|>' + message['role'] + '<|im_sep|>' + message['content'] + '<|im_end|>'}}"
        let other = ChatTemplate.recognizing(jinja: phi, beginOfSequence: nil, endOfSequence: nil)
        #expect(other.kind == .plain && other.reason.contains("none of the known forms"))
        #expect(none == other)
        #expect(other.render(Self.user, addGenerationPrompt: true) == "Hi")
        #expect(try ChatTemplate.named("chatml").kind == .chatml)
        let error = #expect(throws: TokenizerError.self) { try ChatTemplate.named("alpaca") }
        #expect(error?.message.contains("alpaca") == true)
    }
}

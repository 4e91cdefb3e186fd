extension ChatTemplate {
    /// The template with this name: "chatml", "llama3", "mistral" or "plain", without any model's variations.
    package static func named(_ name: String) throws(TokenizerError) -> ChatTemplate {
        guard let kind = Kind(rawValue: name) else {
            let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw TokenizerError(.unsupported, "chat template '\(name)' is unknown; auto, \(known) are known")
        }
        return ChatTemplate(kind, reason: "named")
    }

    /// Real templates have some 10 KB.
    private static let maximumByteCount = 1 << 18

    /// The form that a model's own Jinja template has. Templates that are none of the known forms, and models without
    /// one, get plain with a reason.
    ///
    /// `beginOfSequence`, `endOfSequence`: what `bos_token` and `eos_token` stand for in it.
    package static func recognizing(
        jinja: String?, beginOfSequence: String?, endOfSequence: String?
    ) -> ChatTemplate {
        guard let jinja, !jinja.isEmpty else { return ChatTemplate(.plain, reason: "the model has no chat template") }
        guard jinja.utf8.count <= maximumByteCount else {
            return ChatTemplate(.plain, reason: "the model's chat template is longer than any real one")
        }
        let source = JinjaSource(jinja)
        guard
            var template = source.chatML() ?? source.llama3() ?? source.mistral(endOfSequence: endOfSequence)
        else {
            return ChatTemplate(
                .plain,
                reason:
                    "the model's chat template is none of the known forms; name chatml, llama3 or mistral if it is one")
        }
        if source.text.contains("bos_token"), let beginOfSequence { template.beginning = beginOfSequence }
        return template
    }
}

/// A Jinja template made comparable: one kind of quotes, no spaces around `+` and `|`, members by subscript.
private struct JinjaSource {
    let text: String
    /// The text as written, with escaped newlines as newlines.
    let raw: String

    init(_ jinja: String) {
        raw = jinja.replacing("\\n", with: "\n")
        var text = Self.withoutSpacesAroundOperators(raw.replacing("\"", with: "'"))
        text = text.replacing("message.role", with: "message['role']")
        self.text = text.replacing("message.content", with: "message['content']")
    }

    /// The text is gone through once: a file may have thousands of spaces in a row.
    private static func withoutSpacesAroundOperators(_ text: String) -> String {
        var result: [UInt8] = []
        result.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "+"), UInt8(ascii: "|"):
                while result.last == UInt8(ascii: " ") { result.removeLast() }
                result.append(byte)
            case UInt8(ascii: " ") where result.last == UInt8(ascii: "+") || result.last == UInt8(ascii: "|"): break
            default: result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    static let fromModel = "recognised from the model's chat template"

    func chatML() -> ChatTemplate? {
        let role = "'<|im_start|>'+message['role']+'\n'+"
        guard text.contains(role + "message['content']") || text.contains(role + "content"),
            text.contains("<|im_end|>"), !text.contains("<|im_sep|>"), !text.contains("strftime_now"),
            !text.contains("## Metadata")
        else { return nil }
        var template = ChatTemplate(.chatml, defaultSystem: defaultChatMLSystem, reason: Self.fromModel)
        template.trimsContent = text.contains(role + "message['content']|trim")
        return template
    }

    /// The literal between `<|im_start|>system\n` and `<|im_end|>`, when it is one literal.
    private var defaultChatMLSystem: String? {
        let opening = "<|im_start|>system\n"
        var rest = raw[...]
        // Real templates have one or two; each is searched to its end.
        for _ in 0..<8 {
            guard let start = rest.firstRange(of: opening) else { return nil }
            rest = rest[start.upperBound...]
            guard let end = rest.firstRange(of: "<|im_end|>") else { return nil }
            let literal = rest[..<end.lowerBound]
            let leaves = ["{{", "}}", "{%", "%}", "' +", "'+", "\" +", "\"+"].contains { literal.contains($0) }
            let closesAtOnce = literal.hasPrefix("'") || literal.hasPrefix("\"")
            if !leaves, !closesAtOnce { return String(literal).replacing("\\'", with: "'") }
        }
        return nil
    }

    func llama3() -> ChatTemplate? {
        guard text.contains("<|start_header_id|>"), text.contains("<|end_header_id|>"), text.contains("<|eot_id|>")
        else { return nil }
        var template = ChatTemplate(.llama3, reason: Self.fromModel)
        template.trimsContent = text.contains("|trim")
        if text.contains("Cutting Knowledge Date: December 2023") {
            // The template's own date when it is not told one: prompts must not change from day to day.
            template.systemPreamble = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
        }
        return template
    }

    func mistral(endOfSequence: String?) -> ChatTemplate? {
        guard text.contains("[INST]"), text.contains("[/INST]"), !text.contains("<<SYS>>") else { return nil }
        var format = ChatTemplate.MistralFormat()
        format.userPrefix = text.contains("'[INST] '") ? "[INST] " : "[INST]"
        format.userSuffix = text.contains("' [/INST]'") ? " [/INST]" : "[/INST]"
        format.assistantPrefix = text.contains("' '+message['content']") ? " " : ""
        format.hasSystemTurn = text.contains("[SYSTEM_PROMPT]")
        format.systemGoesLast = text.contains("loop.last and system_message")
        if let endOfSequence { format.endOfSequence = endOfSequence }
        var reason = Self.fromModel
        if text.contains("default_system_message") {
            reason += ", without its default system message (it holds a date)"
        }
        var template = ChatTemplate(.mistral, reason: reason)
        template.mistral = format
        return template
    }
}

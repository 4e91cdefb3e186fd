/// One turn of a conversation.
package struct ChatMessage: Sendable, Codable, Equatable {
    /// "system", "user" or "assistant".
    package var role: String
    package var content: String

    package init(role: String, content: String) {
        self.role = role
        self.content = content
    }
}

/// How a conversation becomes one text: one of four known forms, with the variations of the model's own template.
///
/// Two templates are equal when they render every conversation alike.
package struct ChatTemplate: Sendable, Equatable {
    package enum Kind: String, Sendable, Codable, CaseIterable {
        /// `<|im_start|>role\n...<|im_end|>\n` (Qwen, SmolLM2).
        case chatml
        /// `<|start_header_id|>role<|end_header_id|>\n\n...<|eot_id|>`.
        case llama3
        /// `[INST]...[/INST]`.
        case mistral
        /// The texts alone, an empty line between: for models without a template.
        case plain
    }

    package let kind: Kind
    /// What stands as the system message of conversations that have none.
    package let defaultSystem: String?
    /// Where the template comes from, or why it is plain: a sentence for a person.
    package let reason: String

    /// Text before the first turn (`<|begin_of_text|>`).
    var beginning = ""
    /// White space around contents is dropped.
    var trimsContent = false
    /// Llama 3.1: put before the system message, which then always stands there.
    var systemPreamble: String?
    var mistral = MistralFormat()

    /// The spellings of Mistral's versions.
    struct MistralFormat: Sendable, Equatable {
        var userPrefix = "[INST] "
        var userSuffix = " [/INST]"
        var assistantPrefix = ""
        var endOfSequence = "</s>"
        /// The system message has its own turn, `[SYSTEM_PROMPT]...[/SYSTEM_PROMPT]`.
        var hasSystemTurn = false
        /// The system message goes into the last turn, when that is the user's, instead of the first of the user.
        var systemGoesLast = false
    }

    init(_ kind: Kind, defaultSystem: String? = nil, reason: String) {
        self.kind = kind
        self.defaultSystem = defaultSystem
        self.reason = reason
        if kind == .llama3 { trimsContent = true }
    }

    /// Tokens that end an answer.
    package var stopTokens: [String] {
        switch kind {
        case .chatml: ["<|im_end|>"]
        case .llama3: ["<|eot_id|>"]
        case .mistral: [mistral.endOfSequence]
        case .plain: []
        }
    }

    package static func == (a: ChatTemplate, b: ChatTemplate) -> Bool {
        a.kind == b.kind && a.defaultSystem == b.defaultSystem && a.beginning == b.beginning
            && a.trimsContent == b.trimsContent && a.systemPreamble == b.systemPreamble && a.mistral == b.mistral
    }

    /// The text of a conversation; with `addGenerationPrompt`, up to where the assistant's answer begins.
    ///
    /// Special tokens are written out, so encode it without adding any (but a plain text with).
    package func render(_ messages: [ChatMessage], addGenerationPrompt: Bool) -> String {
        var turns = messages
        if trimsContent { for index in turns.indices { turns[index].content = turns[index].content.trimmed } }
        if let first = turns.first, first.role != "system", let defaultSystem {
            turns.insert(ChatMessage(role: "system", content: defaultSystem), at: 0)
        }
        var text = beginning
        switch kind {
        case .plain:
            return turns.map(\.content).joined(separator: "\n\n")
        case .chatml:
            for turn in turns { text += "<|im_start|>\(turn.role)\n\(turn.content)<|im_end|>\n" }
            if addGenerationPrompt { text += "<|im_start|>assistant\n" }
        case .llama3:
            if let systemPreamble {
                if turns.first?.role != "system" { turns.insert(ChatMessage(role: "system", content: ""), at: 0) }
                turns[0].content = systemPreamble + turns[0].content
            }
            for turn in turns {
                text += "<|start_header_id|>\(turn.role)<|end_header_id|>\n\n\(turn.content)<|eot_id|>"
            }
            if addGenerationPrompt { text += "<|start_header_id|>assistant<|end_header_id|>\n\n" }
        case .mistral: text += renderMistral(turns)
        }
        return text
    }

    private func renderMistral(_ messages: [ChatMessage]) -> String {
        var text = ""
        var turns = messages[...]
        var system: String?
        if let first = turns.first, first.role == "system" {
            turns = turns.dropFirst()
            if mistral.hasSystemTurn {
                text += "[SYSTEM_PROMPT]\(first.content)[/SYSTEM_PROMPT]"
            } else {
                system = first.content
            }
        }
        let systemIndex =
            mistral.systemGoesLast
            ? turns.last?.role == "user" ? turns.endIndex - 1 : nil : turns.firstIndex { $0.role == "user" }
        for index in turns.indices {
            let turn = turns[index]
            switch turn.role {
            case "assistant": text += mistral.assistantPrefix + turn.content + mistral.endOfSequence
            default:
                let preamble = index == systemIndex ? system.map { $0 + "\n\n" } ?? "" : ""
                text += mistral.userPrefix + preamble + turn.content + mistral.userSuffix
            }
        }
        return text
    }
}

extension String {
    /// The text without white space at either end.
    var trimmed: String {
        let scalars = unicodeScalars
        guard let first = scalars.firstIndex(where: { !$0.properties.isWhitespace }),
            let last = scalars.lastIndex(where: { !$0.properties.isWhitespace })
        else { return "" }
        return String(scalars[first...last])
    }
}

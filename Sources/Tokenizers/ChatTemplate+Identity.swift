extension ChatTemplate {
    /// Everything that decides how conversations are rendered, as one text: equal texts for equal templates.
    package var canonicalText: String {
        let parts = [
            kind.rawValue, "\(defaultSystem == nil)", defaultSystem ?? "", beginning, "\(trimsContent)",
            "\(systemPreamble == nil)", systemPreamble ?? "", mistral.userPrefix, mistral.userSuffix,
            mistral.assistantPrefix, mistral.endOfSequence, "\(mistral.hasSystemTurn)", "\(mistral.systemGoesLast)",
        ]
        // Lengths keep neighbours apart.
        return parts.map { "\($0.utf8.count) \($0)\n" }.joined()
    }
}

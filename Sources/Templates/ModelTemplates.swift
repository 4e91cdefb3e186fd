import JSON

/// The templates that a model brings, none of them read yet, and the special tokens that they speak of.
package struct ModelTemplates: Sendable {
    package struct Entry: Sendable, Equatable {
        /// `default`, `tool_use` or any other.
        package var name: String
        package var source: String
        /// The file that it was found in.
        package var file: String

        package init(name: String, source: String, file: String) {
            self.name = name
            self.source = source
            self.file = file
        }
    }

    package var entries: [Entry]
    /// `bos_token`, `eos_token` and the others.
    package var variables: JSONObject

    package init(_ entries: [Entry] = [], variables: JSONObject = JSONObject()) {
        self.entries = entries
        self.variables = variables
    }

    /// The template that chats are rendered with: for `auto` the model's default one, and that for tools where there
    /// is one; else one of the model's by name, or one of ``ChatTemplate/builtInNames``.
    ///
    /// Throws for a name that is neither, and for a template that this interpreter refuses.
    package func template(named name: String = "auto") throws(TemplateError) -> ChatTemplate {
        if name != "auto", let entry = entries.first(where: { $0.name == name }) { return try read(entry) }
        if name != "auto" {
            guard var template = ChatTemplate.builtIn(name) else {
                let known = (["auto"] + ChatTemplate.builtInNames + entries.map(\.name)).joined(separator: ", ")
                throw TemplateError(
                    kind: .unsupported, template: "chat template '\(name)'", line: 0,
                    reason: "unknown; \(known) are known")
            }
            template.variables = variables
            return template
        }
        guard let first = entries.first else { return .missing }
        guard entries.count == 1 || entries.contains(where: { $0.name == "default" }) else {
            throw TemplateError(
                kind: .unsupported, template: first.file, line: 0,
                reason: "several chat templates and none called 'default'; name one of "
                    + "\(entries.map(\.name).joined(separator: ", ")) with data.template")
        }
        var template = try read(entries.first { $0.name == "default" } ?? first)
        if let forTools = entries.first(where: { $0.name == "tool_use" }), entries.count > 1 {
            template.templateForTools = try read(forTools).template
        }
        return template
    }

    private func read(_ entry: Entry) throws(TemplateError) -> ChatTemplate {
        let file = entries.count == 1 ? entry.file : "\(entry.file) ('\(entry.name)')"
        return ChatTemplate(try Template(entry.source, name: file), origin: .model(file: file), variables: variables)
    }

    /// Everything that decides how the model's own template renders; equal texts for equal templates. A template that
    /// is refused is known by its source.
    package var canonicalText: String {
        if let own = try? template() { return own.canonicalText }
        return entries.map { "\($0.name) \($0.source.utf8.count) \($0.source)\n" }.joined()
    }
}

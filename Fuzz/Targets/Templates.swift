import JSON
import Templates

extension FuzzTarget {
    /// Compiles the templates that are compiled once in a process.
    package static func makeWhatIsKept() { _ = ChatTemplate.missing }
}

extension FuzzTarget {
    /// A template, its special tokens and a content, with NUL between: what is read renders, or says why not, in bounds.
    static let template = FuzzTarget(name: "template") { bytes in
        let parts = String(decoding: bytes, as: UTF8.self).split(
            separator: "\0", maxSplits: 2, omittingEmptySubsequences: false
        ).map(String.init)
        guard let template = try? Template(parts[0], name: "template") else { return }
        var limits = TemplateLimits()
        limits.steps = 200_000
        limits.textBytes = 1 << 20
        for roles in [["user"], ["system", "user", "assistant", "user"], ["assistant", "tool", "system"]] {
            var variables: JSONObject = [
                "messages": .array(roles.map { ["role": .string($0), "content": .string(parts.last ?? "")] }),
                "add_generation_prompt": true, "tools": .null,
            ]
            variables["bos_token"] = .string(parts.count > 1 ? parts[1] : "<s>")
            let first = try? template.render(variables, date: ChatTemplate.defaultDate, limits: limits)
            guard first == (try? template.render(variables, date: ChatTemplate.defaultDate, limits: limits)) else {
                throw BrokenPromise("a template renders the same twice")
            }
        }
    }
}

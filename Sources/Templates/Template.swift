import JSON

/// A chat template in the language of Hugging Face's: Jinja with `trim_blocks`, `lstrip_blocks`, loop controls,
/// `{% generation %}`, and transformers' own `tojson`, `raise_exception` and `strftime_now`.
///
/// The language is that of transformers' `ImmutableSandboxedEnvironment`; what it has and this has not is refused by name.
package struct Template: Sendable {
    /// The file or name that errors speak of.
    package let name: String
    package let source: String
    let body: [Statement]
    let root: ScopeLayout
    let layouts: [ScopeLayout]
    /// Names of variables, by number.
    let names: [String]
    let loopName: Int
    let callerName: Int
    let keywordsName: Int
    let restName: Int

    package init(_ source: String, name: String) throws(TemplateError) {
        self.name = name
        self.source = source
        var parser = try Parser(source, name: name)
        let statements = try parser.parse()
        var analysis = ScopeAnalysis(&parser)
        (body, root) = try analysis.analyze(statements)
        layouts = analysis.layouts
        loopName = parser.number(of: "loop")
        callerName = parser.number(of: "caller")
        keywordsName = parser.number(of: "kwargs")
        restName = parser.number(of: "varargs")
        names = parser.names
    }

    /// The text that the template makes of these variables.
    package func render(
        _ variables: JSONObject, date: TemplateDate, limits: TemplateLimits = TemplateLimits()
    ) throws(TemplateError) -> String {
        let values = variables.members.map { (name: $0.key, value: Value($0.value)) }
        return try Interpreter(self, values, date: date, limits: limits).render()
    }

    /// Whether the template speaks of a variable anywhere.
    package func mentions(_ variable: String) -> Bool { names.contains(variable) && source.contains(variable) }
}

extension Value {
    init(_ json: JSONValue) {
        switch json {
        case .null: self = .none
        case .bool(let flag): self = .bool(flag)
        case .integer(let number): self = .integer(number)
        case .number(let number): self = .double(number)
        case .string(let string): self = .text(Text(string))
        case .array(let items): self = .list(items.map { Value($0) })
        case .object(let object):
            var mapping = Mapping()
            // Of a key that is there twice, Python keeps the place of the first and the value of the last.
            for member in object.members { mapping.set(Text(member.key), Value(member.value)) }
            self = .mapping(mapping)
        }
    }
}

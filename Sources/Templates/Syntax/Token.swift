/// A piece of a template as the parser sees it.
struct Token: Sendable {
    enum Kind: Sendable, Equatable {
        case data(Text)
        case blockBegin, blockEnd, variableBegin, variableEnd
        case name(String)
        case string(Text)
        case integer(Int)
        case double(Double)
        /// One of the operators, as written.
        case sign(String)
        case end
    }

    let kind: Kind
    /// Line of its beginning, from 1.
    let line: Int

    /// What a person calls it.
    var description: String {
        switch kind {
        case .data: "text"
        case .blockBegin: "'{%'"
        case .blockEnd: "'%}'"
        case .variableBegin: "'{{'"
        case .variableEnd: "'}}'"
        case .name(let name): "'\(name)'"
        case .string: "a text in quotes"
        case .integer(let value): "'\(value)'"
        case .double(let value): "'\(value)'"
        case .sign(let sign): "'\(sign)'"
        case .end: "the end of the template"
        }
    }
}

/// Builds the statements of a template from its tokens, by Jinja's grammar.
///
/// One for each template; it refuses what nests deeper than ``TemplateLimits/nesting``.
struct Parser {
    let template: String
    private let tokens: [Token]
    private var position = 0
    /// Names of variables; their places are their numbers.
    private(set) var names: [String] = []
    private var numbers: [String: Int] = [:]
    /// Scopes made so far.
    private(set) var scopeCount = 0
    var nesting = 0
    /// Loops around the current place, within the current macro.
    var loopDepth = 0

    init(_ source: String, name: String) throws(TemplateError) {
        template = name
        guard source.utf8.count <= TemplateLimits().sourceBytes else {
            throw TemplateError(
                kind: .limit, template: name, line: 1,
                reason: "\(source.utf8.count) bytes are more than any template has")
        }
        tokens = try Lexer.tokens(of: source, name: name)
    }

    // MARK: Tokens

    var current: Token { tokens[position] }
    var following: Token { tokens[min(position + 1, tokens.count - 1)] }

    @discardableResult
    mutating func advance() -> Token {
        defer { if position + 1 < tokens.count { position += 1 } }
        return tokens[position]
    }

    func isSign(_ sign: String) -> Bool {
        if case .sign(sign) = current.kind { true } else { false }
    }

    func isName(_ name: String) -> Bool { current.kind == .name(name) }

    mutating func skip(sign: String) -> Bool {
        guard isSign(sign) else { return false }
        advance()
        return true
    }

    mutating func skip(name: String) -> Bool {
        guard isName(name) else { return false }
        advance()
        return true
    }

    mutating func expect(sign: String) throws(TemplateError) {
        guard skip(sign: sign) else { throw failure("'\(sign)' should stand before \(current.description)") }
    }

    mutating func expectName() throws(TemplateError) -> String {
        guard case .name(let name) = current.kind else {
            throw failure("a name should stand before \(current.description)")
        }
        advance()
        return name
    }

    mutating func expect(_ kind: Token.Kind) throws(TemplateError) {
        guard current.kind == kind else {
            throw failure("\(Token(kind: kind, line: 0).description) should stand before \(current.description)")
        }
        advance()
    }

    func failure(_ reason: String, _ kind: TemplateError.Kind = .syntax, line: Int? = nil) -> TemplateError {
        TemplateError(kind: kind, template: template, line: line ?? current.line, reason: reason)
    }

    // MARK: Names, scopes, nesting

    mutating func number(of name: String) -> Int {
        if let number = numbers[name] { return number }
        numbers[name] = names.count
        names.append(name)
        return names.count - 1
    }

    mutating func newScope() -> Int {
        scopeCount += 1
        return scopeCount - 1
    }

    mutating func nested<Result>(
        _ parse: (inout Parser) throws(TemplateError) -> Result
    ) throws(TemplateError) -> Result {
        nesting += 1
        defer { nesting -= 1 }
        guard nesting <= TemplateLimits.nesting else {
            throw failure("nested deeper than \(TemplateLimits.nesting) levels", .limit)
        }
        return try parse(&self)
    }

    func make(_ form: Expression.Form, line: Int) throws(TemplateError) -> Expression {
        let depth = Expression(form: form, line: line, depth: 0).children.reduce(0) { max($0, $1.depth) } + 1
        guard depth <= TemplateLimits.nesting else {
            throw failure("an expression has more than \(TemplateLimits.nesting) levels", .limit, line: line)
        }
        return Expression(form: form, line: line, depth: depth)
    }
}

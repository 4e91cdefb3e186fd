extension Parser {
    /// The whole template.
    mutating func parse() throws(TemplateError) -> [Statement] {
        let body = try statements(until: [])
        guard current.kind == .end else { throw failure("\(current.description) closes nothing") }
        return body
    }

    /// Statements up to a block whose name is one of `ends`; the parser then stands at that name.
    private mutating func statements(until ends: [String]) throws(TemplateError) -> [Statement] {
        try nested { parser throws(TemplateError) in
            var body: [Statement] = []
            while true {
                switch parser.current.kind {
                case .end:
                    guard ends.isEmpty else {
                        throw parser.failure("the template ends before '{% \(ends.last ?? "") %}'")
                    }
                    return body
                case .data(let text):
                    parser.advance()
                    body.append(.text(text))
                case .variableBegin:
                    parser.advance()
                    body.append(.output(try parser.tuple()))
                    try parser.expect(.variableEnd)
                case .blockBegin:
                    parser.advance()
                    if case .name(let name) = parser.current.kind, ends.contains(name) { return body }
                    body += try parser.statement()
                    try parser.expect(.blockEnd)
                default: throw parser.failure("\(parser.current.description) stands outside of a tag")
                }
            }
        }
    }

    /// The body of a block, after its head, up to one of `ends`.
    private mutating func body(until ends: [String]) throws(TemplateError) -> [Statement] {
        _ = skip(sign: ":")
        try expect(.blockEnd)
        return try statements(until: ends)
    }

    /// The body of a block whose end is no longer of interest.
    private mutating func block(until end: String, scope: Int? = nil) throws(TemplateError) -> Statement.Block {
        let scope = scope ?? newScope()
        let body = try body(until: [end])
        advance()
        return Statement.Block(scope: scope, body: body)
    }

    private mutating func statement() throws(TemplateError) -> [Statement] {
        let line = current.line
        let tag = try expectName()
        switch tag {
        case "set": return [try set()]
        case "if": return [try choice()]
        case "for": return [.loop(try loop(line: line))]
        case "macro":
            let name = number(of: try expectTargetName())
            return [.macro(try macro(name: name, until: "endmacro", line: line))]
        case "call": return [try call(line: line)]
        case "filter":
            let filter = try filterChain(nil, first: true)!
            return [.filter(filter, body: try block(until: "endfilter"))]
        case "with": return [try with()]
        case "print": return try printed()
        case "generation":
            return [
                .generation(
                    try outsideLoops { parser throws(TemplateError) in
                        try parser.block(until: "endgeneration")
                    })
            ]
        case "break", "continue":
            guard loopDepth > 0 else { throw failure("'{% \(tag) %}' stands in no loop", line: line) }
            return [tag == "break" ? .leaveLoop : .continueLoop]
        case "block", "extends", "include", "import", "from", "autoescape":
            throw failure("'{% \(tag) %}' is not supported", .unsupported, line: line)
        default: throw failure("'{% \(tag) %}' is unknown", .unsupported, line: line)
        }
    }

    private mutating func outsideLoops<Result>(
        _ parse: (inout Parser) throws(TemplateError) -> Result
    ) throws(TemplateError) -> Result {
        let depth = loopDepth
        loopDepth = 0
        defer { loopDepth = depth }
        return try parse(&self)
    }

    // MARK: Assignments

    private mutating func expectTargetName() throws(TemplateError) -> String {
        let name = try expectName()
        guard !["true", "false", "none", "True", "False", "None"].contains(name) else {
            throw failure("'\(name)' cannot be assigned to")
        }
        return name
    }

    /// - Parameter attributes: those of namespaces may be assigned to.
    private mutating func target(attributes: Bool = false, endingAt end: String? = nil) throws(TemplateError)
        -> Statement.Target
    {
        var targets: [Statement.Target] = []
        var isTuple = false
        while true {
            if !targets.isEmpty { try expect(sign: ",") }
            if endsTuple(end) { break }
            targets.append(try singleTarget(attributes: attributes))
            guard isSign(",") else { break }
            isTuple = true
        }
        if isTuple { return .tuple(targets) }
        guard let only = targets.first else { throw failure("a name should stand before \(current.description)") }
        return only
    }

    private mutating func singleTarget(attributes: Bool) throws(TemplateError) -> Statement.Target {
        if skip(sign: "(") {
            let inner = try nested { parser throws(TemplateError) in try parser.target(attributes: false) }
            try expect(sign: ")")
            return inner
        }
        let name = try expectTargetName()
        if attributes, skip(sign: ".") { return .attribute(of: number(of: name), Text(try expectName())) }
        return .name(number(of: name))
    }

    private mutating func set() throws(TemplateError) -> Statement {
        let target = try target(attributes: true)
        if skip(sign: "=") { return .set(target, try tuple()) }
        let filter = try filterChain(nil, first: skip(sign: "|"))
        return .setBlock(
            target, filter: filter,
            body: try outsideLoops { parser throws(TemplateError) in
                try parser.block(until: "endset")
            })
    }

    private mutating func with() throws(TemplateError) -> Statement {
        var values: [(target: Statement.Target, value: Expression)] = []
        while current.kind != .blockEnd {
            if !values.isEmpty { try expect(sign: ",") }
            let target = try target()
            try expect(sign: "=")
            values.append((target, try expression()))
        }
        return .with(values, body: try block(until: "endwith"))
    }

    private mutating func printed() throws(TemplateError) -> [Statement] {
        var result: [Statement] = []
        while current.kind != .blockEnd {
            if !result.isEmpty { try expect(sign: ",") }
            result.append(.output(try expression()))
        }
        return result
    }

    // MARK: Branches and loops

    private mutating func choice() throws(TemplateError) -> Statement {
        var branches: [(condition: Expression, body: [Statement])] = []
        var otherwise: [Statement] = []
        while true {
            let condition = try tuple(conditions: false)
            branches.append((condition, try body(until: ["elif", "else", "endif"])))
            let word = try expectName()
            if word == "elif" { continue }
            if word == "else" {
                otherwise = try body(until: ["endif"])
                advance()
            }
            return .choice(branches, otherwise: otherwise)
        }
    }

    private mutating func loop(line: Int) throws(TemplateError) -> Statement.Loop {
        let target = try target(endingAt: "in")
        guard skip(name: "in") else { throw failure("'in' should stand before \(current.description)") }
        let sequence = try tuple(conditions: false, endingAt: "recursive")
        let condition = skip(name: "if") ? try expression() : nil
        let isRecursive = skip(name: "recursive")
        let loopName = number(of: "loop")
        guard !names(in: target).contains(loopName) else { throw failure("'loop' cannot be assigned to", line: line) }
        let conditionScope = newScope(), scope = newScope()
        loopDepth += 1
        let statements = try body(until: ["endfor", "else"])
        loopDepth -= 1
        var otherwise: Statement.Block?
        if try expectName() == "else" { otherwise = try block(until: "endfor") }
        return Statement.Loop(
            target: target, sequence: sequence, condition: condition, conditionScope: conditionScope,
            isRecursive: isRecursive, body: Statement.Block(scope: scope, body: statements), otherwise: otherwise,
            line: line)
    }

    private func names(in target: Statement.Target) -> [Int] {
        switch target {
        case .name(let name): [name]
        case .attribute: []
        case .tuple(let targets): targets.flatMap { names(in: $0) }
        }
    }

    // MARK: Macros

    private mutating func macro(name: Int, until end: String, line: Int) throws(TemplateError) -> Statement.Macro {
        let (parameters, defaults) = try signature(isNeeded: true)
        let body = try outsideLoops { parser throws(TemplateError) in try parser.block(until: end) }
        return Statement.Macro(name: name, parameters: parameters, defaults: defaults, body: body, line: line)
    }

    private mutating func signature(isNeeded: Bool) throws(TemplateError) -> ([Int], [Expression]) {
        var parameters: [Int] = [], defaults: [Expression] = []
        guard isNeeded || isSign("(") else { return ([], []) }
        try expect(sign: "(")
        while !isSign(")") {
            if !parameters.isEmpty { try expect(sign: ",") }
            let name = number(of: try expectTargetName())
            guard !parameters.contains(name) else { throw failure("a parameter is named twice") }
            parameters.append(name)
            if skip(sign: "=") {
                defaults.append(try expression())
            } else if !defaults.isEmpty {
                throw failure("a parameter without a default follows one with a default")
            }
        }
        try expect(sign: ")")
        return (parameters, defaults)
    }

    private mutating func call(line: Int) throws(TemplateError) -> Statement {
        let (parameters, defaults) = try signature(isNeeded: false)
        let called = try expression()
        guard case .call = called.form else { throw failure("a call should stand in '{% call %}'", line: line) }
        let body = try outsideLoops { parser throws(TemplateError) in try parser.block(until: "endcall") }
        return .call(
            Statement.Macro(name: nil, parameters: parameters, defaults: defaults, body: body, line: line), called)
    }
}

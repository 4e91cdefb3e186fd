extension Parser {
    /// Attributes, items and calls after an expression.
    mutating func postfix(_ expression: Expression) throws(TemplateError) -> Expression {
        var result = expression
        while true {
            if isSign(".") {
                result = try attribute(of: result)
            } else if isSign("[") {
                result = try item(of: result)
            } else if isSign("(") {
                let line = current.line
                result = try make(.call(result, try call()), line: line)
            } else {
                return result
            }
        }
    }

    mutating func filtersAndTests(_ expression: Expression) throws(TemplateError) -> Expression {
        var result = expression
        while true {
            if isSign("|") {
                advance()
                result = try filter(result)
            } else if isName("is") {
                result = try test(result)
            } else if isSign("(") {
                let line = current.line
                result = try make(.call(result, try call()), line: line)
            } else {
                return result
            }
        }
    }

    private mutating func attribute(of object: Expression) throws(TemplateError) -> Expression {
        let line = advance().line
        switch advance().kind {
        case .name(let name): return try make(.attribute(object, Text(name)), line: line)
        case .integer(let index):
            return try make(.item(object, try make(.constant(.integer(index)), line: line)), line: line)
        default: throw failure("a name or a number should stand after '.'", line: line)
        }
    }

    private mutating func item(of object: Expression) throws(TemplateError) -> Expression {
        let line = advance().line
        var arguments: [Expression] = []
        while !isSign("]") {
            if !arguments.isEmpty { try expect(sign: ",") }
            let start = isSign(":") ? nil : try expression()
            guard isSign(":") else {
                if let start { arguments.append(start) }
                continue
            }
            let result = try slice(of: object, start: start, line: line)
            guard arguments.isEmpty, isSign("]") else {
                throw failure("slices of several dimensions are not supported", .unsupported, line: line)
            }
            advance()
            return result
        }
        try expect(sign: "]")
        let index = arguments.count == 1 ? arguments[0] : try make(.tuple(arguments), line: line)
        return try make(.item(object, index), line: line)
    }

    private mutating func slice(
        of object: Expression, start: Expression?, line: Int
    ) throws(TemplateError) -> Expression {
        advance()
        let stop = isSign(":") || isSign("]") || isSign(",") ? nil : try expression()
        var step: Expression?
        if skip(sign: ":"), !isSign("]"), !isSign(",") { step = try expression() }
        return try make(.slice(object, start: start, stop: stop, step: step), line: line)
    }

    /// What stands in parentheses after what is called.
    mutating func call() throws(TemplateError) -> Expression.Call {
        let line = current.line
        try expect(sign: "(")
        var call = Expression.Call()
        var needsComma = false
        func check(_ holds: Bool) throws(TemplateError) {
            guard holds else { throw failure("arguments stand in an order that calls do not have", line: line) }
        }
        while !isSign(")") {
            if needsComma {
                try expect(sign: ",")
                if isSign(")") { break }
            }
            needsComma = true
            if skip(sign: "*") {
                try check(call.list == nil && call.mapping == nil)
                call.list = try expression()
            } else if skip(sign: "**") {
                try check(call.mapping == nil)
                call.mapping = try expression()
            } else if case .name(let name) = current.kind, case .sign("=") = following.kind {
                try check(call.mapping == nil)
                advance()
                advance()
                guard !call.keywords.contains(where: { $0.name == name }) else {
                    throw failure("the argument '\(name)' is given twice", line: line)
                }
                call.keywords.append((name, try expression()))
            } else {
                try check(call.list == nil && call.mapping == nil && call.keywords.isEmpty)
                call.positional.append(try expression())
            }
        }
        try expect(sign: ")")
        return call
    }

    private mutating func dottedName() throws(TemplateError) -> String {
        var name = try expectName()
        while skip(sign: ".") { name += "." + (try expectName()) }
        return name
    }

    /// A filter's name and arguments, after `|`.
    mutating func filter(_ value: Expression?) throws(TemplateError) -> Expression {
        let line = current.line
        let name = try dottedName()
        return try make(.filter(value, name, isSign("(") ? try call() : Expression.Call()), line: line)
    }

    /// A filter and those that follow it.
    mutating func filterChain(_ value: Expression?, first: Bool) throws(TemplateError) -> Expression? {
        var result = first ? try filter(value) : value
        while skip(sign: "|") { result = try filter(result) }
        return result
    }

    private mutating func test(_ value: Expression) throws(TemplateError) -> Expression {
        let line = advance().line
        let isNegated = skip(name: "not")
        let name = try dottedName()
        var call = Expression.Call()
        switch current.kind {
        case .sign("("): call = try self.call()
        case .name("else"), .name("or"), .name("and"): break
        case .name("is"): throw failure("tests with 'is' do not follow one another")
        case .name, .string, .integer, .double, .sign("["), .sign("{"):
            let argument = try nested { parser throws(TemplateError) in
                let primary = try parser.primary()
                return try parser.postfix(primary)
            }
            call.positional = [argument]
        default: break
        }
        let result = try make(.test(value, name, call), line: line)
        return isNegated ? try make(.not(result), line: line) : result
    }
}

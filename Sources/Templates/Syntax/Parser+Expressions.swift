extension Parser {
    /// `a if b else c`, or an expression without a condition where `conditions` is false.
    mutating func expression(conditions: Bool = true) throws(TemplateError) -> Expression {
        try nested { parser throws(TemplateError) in
            var result = try parser.disjunction()
            while conditions, parser.isName("if") {
                let line = parser.advance().line
                let test = try parser.disjunction()
                let otherwise = parser.skip(name: "else") ? try parser.expression() : nil
                result = try parser.make(.condition(test, then: result, otherwise: otherwise), line: line)
            }
            return result
        }
    }

    private mutating func disjunction() throws(TemplateError) -> Expression {
        let line = current.line
        var terms = [try conjunction()]
        while skip(name: "or") { terms.append(try conjunction()) }
        return terms.count == 1 ? terms[0] : try make(.or(terms), line: line)
    }

    private mutating func conjunction() throws(TemplateError) -> Expression {
        let line = current.line
        var terms = [try negation()]
        while skip(name: "and") { terms.append(try negation()) }
        return terms.count == 1 ? terms[0] : try make(.and(terms), line: line)
    }

    private mutating func negation() throws(TemplateError) -> Expression {
        let line = current.line
        var count = 0
        while skip(name: "not") { count += 1 }
        var result = try comparison()
        for _ in 0..<min(count, TemplateLimits.nesting + 1) { result = try make(.not(result), line: line) }
        return result
    }

    private mutating func comparison() throws(TemplateError) -> Expression {
        let line = current.line
        let first = try sum()
        var others: [(Expression.Comparison, Expression)] = []
        while let comparison = comparisonSign() { others.append((comparison, try sum())) }
        return others.isEmpty ? first : try make(.comparison(first, others), line: line)
    }

    private mutating func comparisonSign() -> Expression.Comparison? {
        switch current.kind {
        case .sign(let sign):
            let comparison: Expression.Comparison? =
                switch sign {
                case "==": .equal
                case "!=": .unequal
                case "<": .less
                case "<=": .lessOrEqual
                case ">": .greater
                case ">=": .greaterOrEqual
                default: nil
                }
            if comparison != nil { advance() }
            return comparison
        case .name("in"):
            advance()
            return .isIn
        case .name("not") where following.kind == .name("in"):
            advance()
            advance()
            return .isNotIn
        default: return nil
        }
    }

    private func arithmetic(_ signs: [Expression.Arithmetic]) -> Expression.Arithmetic? {
        guard case .sign(let sign) = current.kind else { return nil }
        return signs.first { $0.rawValue == sign }
    }

    private mutating func chain(
        _ signs: [Expression.Arithmetic], _ operand: (inout Parser) throws(TemplateError) -> Expression
    ) throws(TemplateError) -> Expression {
        let line = current.line
        let first = try operand(&self)
        var others: [(Expression.Arithmetic, Expression)] = []
        while let sign = arithmetic(signs) {
            advance()
            others.append((sign, try operand(&self)))
        }
        return others.isEmpty ? first : try make(.arithmetic(first, others), line: line)
    }

    private mutating func sum() throws(TemplateError) -> Expression {
        try chain([.add, .subtract]) { parser throws(TemplateError) in try parser.joined() }
    }

    private mutating func joined() throws(TemplateError) -> Expression {
        let line = current.line
        var parts = [try product()]
        while skip(sign: "~") { parts.append(try product()) }
        return parts.count == 1 ? parts[0] : try make(.joined(parts), line: line)
    }

    private mutating func product() throws(TemplateError) -> Expression {
        try chain([.multiply, .divide, .divideFloor, .remainder]) { parser throws(TemplateError) in
            try parser.chain([.power]) { parser throws(TemplateError) in try parser.unary(filters: true) }
        }
    }

    private mutating func unary(filters: Bool) throws(TemplateError) -> Expression {
        let line = current.line
        var result: Expression
        if isSign("-") || isSign("+") {
            let isNegative = isSign("-")
            advance()
            let operand = try nested { parser throws(TemplateError) in try parser.unary(filters: false) }
            result = try make(isNegative ? .negative(operand) : .positive(operand), line: line)
        } else {
            result = try primary()
        }
        result = try postfix(result)
        return filters ? try filtersAndTests(result) : result
    }

    mutating func primary() throws(TemplateError) -> Expression {
        let token = current
        switch token.kind {
        case .name(let name):
            advance()
            switch name {
            case "true", "True": return try make(.constant(.bool(true)), line: token.line)
            case "false", "False": return try make(.constant(.bool(false)), line: token.line)
            case "none", "None": return try make(.constant(.none), line: token.line)
            // In Jinja the template itself, with the blocks that are not supported.
            case "self": throw failure("'self' is not supported", .unsupported, line: token.line)
            default: return try make(.name(number(of: name)), line: token.line)
            }
        case .string(var text):
            advance()
            while case .string(let more) = current.kind {
                text = text + more
                advance()
            }
            return try make(.constant(.text(text)), line: token.line)
        case .integer(let value):
            advance()
            return try make(.constant(.integer(value)), line: token.line)
        case .double(let value):
            advance()
            return try make(.constant(.double(value)), line: token.line)
        case .sign("("):
            advance()
            let result = try tuple(inParentheses: true)
            try expect(sign: ")")
            return result
        case .sign("["):
            advance()
            return try make(.list(try items(until: "]")), line: token.line)
        case .sign("{"):
            advance()
            return try dictionary(line: token.line)
        default: throw failure("an expression should stand before \(token.description)")
        }
    }

    private mutating func items(until end: String) throws(TemplateError) -> [Expression] {
        var items: [Expression] = []
        while !isSign(end) {
            if !items.isEmpty { try expect(sign: ",") }
            if isSign(end) { break }
            items.append(try expression())
        }
        try expect(sign: end)
        return items
    }

    private mutating func dictionary(line: Int) throws(TemplateError) -> Expression {
        var pairs: [(key: Expression, value: Expression)] = []
        while !isSign("}") {
            if !pairs.isEmpty { try expect(sign: ",") }
            if isSign("}") { break }
            let key = try expression()
            try expect(sign: ":")
            pairs.append((key, try expression()))
        }
        try expect(sign: "}")
        return try make(.dictionary(pairs), line: line)
    }

    /// Expressions with commas between make a tuple.
    mutating func tuple(
        conditions: Bool = true, inParentheses: Bool = false, endingAt end: String? = nil
    ) throws(TemplateError) -> Expression {
        let line = current.line
        var items: [Expression] = []
        var isTuple = false
        while true {
            if !items.isEmpty { try expect(sign: ",") }
            if endsTuple(end) { break }
            items.append(try expression(conditions: conditions))
            guard isSign(",") else { break }
            isTuple = true
        }
        if !isTuple {
            if let only = items.first { return only }
            guard inParentheses else { throw failure("an expression should stand before \(current.description)") }
        }
        return try make(.tuple(items), line: line)
    }

    func endsTuple(_ end: String?) -> Bool {
        switch current.kind {
        case .variableEnd, .blockEnd, .sign(")"): true
        case .name(let name): name == end
        default: false
        }
    }
}

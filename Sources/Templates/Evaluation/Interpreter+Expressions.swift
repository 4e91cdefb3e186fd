extension Interpreter {
    /// - Parameter input: the text of a block, which the innermost filter of `{% filter %}` and `{% set %}` gets.
    func evaluate(_ expression: Expression, input: Value? = nil) throws -> Value {
        try descend()
        switch expression.form {
        case .constant(let constant): return value(of: constant)
        case .name(let name): return variable(name)
        case .attribute(let object, let name):
            let object = try evaluate(object)
            line = expression.line
            return try attribute(name, of: object)
        case .item(let object, let index): return try evaluateItem(object, index, expression.line)
        case .call: return try evaluateCall(expression)
        case .filter(let value, let name, let call):
            return try evaluateFilter(value, name, call, expression.line, input)
        case .test(let value, let name, let call): return try evaluateTest(value, name, call, expression.line)
        case .not(let operand): return .bool(try !evaluate(operand).isTrue)
        case .and(let terms):
            var result = try evaluate(terms[0])
            for term in terms.dropFirst() where result.isTrue { result = try evaluate(term) }
            return result
        case .or(let terms):
            var result = try evaluate(terms[0])
            for term in terms.dropFirst() where !result.isTrue { result = try evaluate(term) }
            return result
        case .condition(let test, let then, let otherwise):
            if try evaluate(test).isTrue { return try evaluate(then) }
            return try otherwise.map { try evaluate($0) }
                ?? .undefined(.hint("a condition without 'else' did not hold in line \(expression.line)"))
        default: return try evaluateCompound(expression)
        }
    }

    private func value(of constant: Expression.Constant) -> Value {
        switch constant {
        case .none: .none
        case .bool(let value): .bool(value)
        case .integer(let value): .integer(value)
        case .double(let value): .double(value)
        case .text(let text): .text(text)
        }
    }

    @inline(never)
    private func evaluateCompound(_ expression: Expression) throws -> Value {
        switch expression.form {
        case .list(let items): return .list(try items.map { try evaluate($0) })
        case .tuple(let items): return .tuple(try items.map { try evaluate($0) })
        case .dictionary(let pairs): return try evaluateDictionary(pairs)
        case .slice(let object, let start, let stop, let step):
            let object = try evaluate(object)
            let bounds = (
                try start.map { try evaluate($0) }, try stop.map { try evaluate($0) }, try step.map { try evaluate($0) }
            )
            line = expression.line
            return try slice(object, bounds)
        case .negative(let operand): return try sign(operand, isNegative: true, expression.line)
        case .positive(let operand): return try sign(operand, isNegative: false, expression.line)
        case .comparison(let first, let others): return try evaluateComparison(first, others, expression.line)
        case .arithmetic(let first, let others): return try evaluateArithmetic(first, others, expression.line)
        case .joined(let parts):
            var bytes: [UInt8] = []
            for part in parts {
                bytes += try evaluate(part).printed().bytes
                try checkSize(bytes.count)
            }
            return .text(Text(bytes: bytes))
        default: throw Fault("an expression has no value")
        }
    }

    private func evaluateDictionary(_ pairs: [(key: Expression, value: Expression)]) throws -> Value {
        var mapping = Mapping()
        for pair in pairs { try mapping.set(try evaluate(pair.key), try evaluate(pair.value)) }
        return .mapping(mapping)
    }

    private func evaluateComparison(
        _ first: Expression, _ others: [(Expression.Comparison, Expression)], _ line: Int
    ) throws -> Value {
        var left = try evaluate(first)
        for (comparison, operand) in others {
            let right = try evaluate(operand)
            self.line = line
            let holds =
                switch comparison {
                case .equal: try left.equals(right)
                case .unequal: try !left.equals(right)
                case .less: try left.isLess(than: right)
                case .lessOrEqual: try left.isAtMost(right, "<=")
                case .greater: try right.isLess(than: left, ">")
                case .greaterOrEqual: try right.isAtMost(left, ">=")
                case .isIn: try left.isIn(right)
                case .isNotIn: try !left.isIn(right)
                }
            if case .text(let text) = right { try spend(text.bytes.count >> 6) }
            guard holds else { return .bool(false) }
            left = right
        }
        return .bool(true)
    }

    private func evaluateArithmetic(
        _ first: Expression, _ others: [(Expression.Arithmetic, Expression)], _ line: Int
    ) throws -> Value {
        var result = try evaluate(first)
        for (sign, operand) in others {
            let right = try evaluate(operand)
            self.line = line
            result = try calculate(result, sign, right)
        }
        return result
    }

    private func evaluateItem(_ object: Expression, _ index: Expression, _ line: Int) throws -> Value {
        let object = try evaluate(object), index = try evaluate(index)
        self.line = line
        return try item(index, of: object)
    }

    // MARK: Calls

    func arguments(_ call: Expression.Call) throws -> Arguments {
        var result = Arguments()
        if !call.positional.isEmpty { result.positional = try call.positional.map { try evaluate($0) } }
        for keyword in call.keywords { result.keywords.append((keyword.name, try evaluate(keyword.value))) }
        if let list = call.list {
            result.positional += try evaluate(list).elements()
            try checkCount(result.positional.count)
        }
        if let mapping = call.mapping {
            let value = try evaluate(mapping)
            guard case .mapping(let mapping) = value else {
                throw Fault("'**' needs a mapping, not a value of type '\(value.typeName)'")
            }
            for (key, value) in zip(mapping.keys, mapping.values) {
                guard case .text(let name) = key else { throw Fault("the names of arguments are texts") }
                guard !result.keywords.contains(where: { $0.name == name.string }) else {
                    throw Fault("the argument '\(name)' is given twice")
                }
                result.keywords.append((name.string, value))
            }
        }
        return result
    }

    @inline(never)
    func evaluateCall(_ expression: Expression, caller: Value? = nil) throws -> Value {
        guard case .call(let callee, let call) = expression.form else { throw Fault("a call should stand here") }
        let function = try evaluate(callee)
        var arguments = try arguments(call)
        if let caller { arguments.keywords.append(("caller", caller)) }
        line = expression.line
        return try self.call(function, arguments)
    }

    func call(_ function: Value, _ arguments: Arguments) throws -> Value {
        switch function {
        case .macro(let macro): return try call(macro, arguments)
        case .function(let function): return try function.call(self, arguments)
        case .method(let method): return try call(method, arguments)
        case .loop(let loop):
            guard let recursion = loop.recursion else { throw Fault("only a loop that is 'recursive' is called") }
            let sequence = try arguments.bind("loop", ["iterable"], required: 1)[0]!
            return .text(try recurse(recursion.statement, recursion.scope, sequence, depth: loop.depth + 1))
        case .joiner(let joiner):
            defer { joiner.isUsed = true }
            return .text(joiner.isUsed ? joiner.separator : .empty)
        case .undefined(let undefined): throw Fault(undefined.reason)
        default: throw Fault("a value of type '\(function.typeName)' cannot be called")
        }
    }

    @inline(never)
    private func evaluateFilter(
        _ value: Expression?, _ name: String, _ call: Expression.Call, _ line: Int, _ input: Value?
    ) throws -> Value {
        let value = try value.map { try evaluate($0, input: input) } ?? input ?? .undefined(.hint("no text"))
        let arguments = try arguments(call)
        self.line = line
        return try Filters.apply(name, value, arguments, self)
    }

    @inline(never)
    private func evaluateTest(
        _ value: Expression, _ name: String, _ call: Expression.Call, _ line: Int
    ) throws -> Value {
        let value = try evaluate(value)
        let arguments = try arguments(call)
        self.line = line
        return .bool(try Tests.holds(name, value, arguments))
    }
}

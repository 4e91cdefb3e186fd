extension Interpreter {
    func run(_ statements: [Statement]) throws -> Flow {
        try descend()
        for statement in statements {
            let flow = try run(statement)
            if flow != .next { return flow }
        }
        return .next
    }

    private func run(_ statement: Statement) throws -> Flow {
        switch statement {
        case .text(let text): try write(text)
        case .output(let expression): try write(try evaluate(expression).printed())
        case .set(let target, let expression): try assign(target, try evaluate(expression))
        case .choice(let branches, let otherwise):
            for branch in branches where try evaluate(branch.condition).isTrue { return try run(branch.body) }
            return otherwise.isEmpty ? .next : try run(otherwise)
        case .loop(let loop): return try run(loop)
        case .leaveLoop: return .leaveLoop
        case .continueLoop: return .continueLoop
        default: return try runBlock(statement)
        }
        return .next
    }

    /// Statements with a scope of their own.
    @inline(never)
    private func runBlock(_ statement: Statement) throws -> Flow {
        switch statement {
        case .setBlock(let target, let filter, let block): try runSetBlock(target, filter, block)
        case .macro(let macro): if let name = macro.name { scope.set(name, define(macro)) }
        case .call(let macro, let expression):
            try write(try evaluateCall(expression, caller: define(macro)).printed())
        case .filter(let filter, let block):
            let text = try captured { _ = try within(block.scope) { try run(block.body) } }
            let result = try evaluate(filter, input: .text(text))
            guard let text = result.text else {
                throw Fault("what '{% filter %}' makes is a text, not a value of type '\(result.typeName)'")
            }
            try write(text)
        case .with(let values, let block):
            let evaluated = try values.map { try evaluate($0.value) }
            return try within(block.scope) {
                for (value, result) in zip(values, evaluated) { try assign(value.target, result) }
                return try run(block.body)
            }
        case .generation(let block):
            let text = try captured { _ = try within(block.scope) { try run(block.body) } }
            try write(text)
        default: break
        }
        return .next
    }

    private func runSetBlock(_ target: Statement.Target, _ filter: Expression?, _ block: Statement.Block) throws {
        let value = try within(block.scope) { () throws -> Value in
            let text = Value.text(try captured { _ = try run(block.body) })
            return try filter.map { try evaluate($0, input: text) } ?? text
        }
        try assign(target, value)
    }

    // MARK: Assignments

    func assign(_ target: Statement.Target, _ value: Value) throws {
        try spend(1)
        try keep(value)
        switch target {
        case .name(let name): scope.set(name, value)
        case .attribute(let name, let attribute):
            guard case .namespace(let namespace) = variable(name) else {
                throw Fault("'\(template.names[name])' is no namespace, so '\(attribute)' of it cannot be assigned to")
            }
            guard attribute.bytes.first != UInt8(ascii: "_") else {
                throw Fault("the attribute '\(attribute)' of a namespace begins with '_'")
            }
            namespace.attributes.set(attribute, value)
        case .tuple(let targets):
            let values = try value.elements()
            guard values.count == targets.count else {
                throw Fault("\(values.count) values cannot be assigned to \(targets.count) names")
            }
            for (target, value) in zip(targets, values) { try assign(target, value) }
        }
    }

    // MARK: Loops

    @inline(never)
    private func run(_ loop: Statement.Loop) throws -> Flow {
        line = loop.line
        let sequence = try evaluate(loop.sequence)
        if loop.isRecursive {
            let outer = scope
            try write(try recurse(loop, outer, sequence, depth: 0))
            return .next
        }
        return try go(through: sequence, loop, depth: 0)
    }

    /// The text of a recursive loop over a sequence.
    func recurse(_ loop: Statement.Loop, _ outer: Scope, _ sequence: Value, depth: Int) throws -> Text {
        try descend()
        let current = scope
        scope = outer
        defer { scope = current }
        return try captured { _ = try go(through: sequence, loop, depth: depth) }
    }

    private func go(through sequence: Value, _ loop: Statement.Loop, depth: Int) throws -> Flow {
        var items = try sequence.elements()
        try checkCount(items.count)
        if let condition = loop.condition {
            items = try items.filter { item in
                try within(loop.conditionScope) {
                    try assign(loop.target, item)
                    return try evaluate(condition).isTrue
                }
            }
        }
        let state = LoopState(items, depth: depth, recursion: loop.isRecursive ? (loop, scope) : nil)
        var isComplete = false
        rounds: for item in items {
            state.index += 1
            let flow = try within(loop.body.scope, parameters: [(template.loopName, .loop(state))]) {
                try assign(loop.target, item)
                return try run(loop.body.body)
            }
            switch flow {
            case .next: isComplete = true
            case .continueLoop: break
            case .leaveLoop: break rounds
            }
        }
        guard !isComplete, let otherwise = loop.otherwise else { return .next }
        // What leaves a loop here leaves the one around.
        return try within(otherwise.scope) { try run(otherwise.body) }
    }

    // MARK: Macros

    func call(_ macro: MacroValue, _ arguments: Arguments) throws -> Value {
        try descend()
        let definition = macro.definition
        var keywords = arguments.keywords
        func take(_ name: String) -> Value? {
            keywords.firstIndex { $0.name == name }.map { keywords.remove(at: $0).value }
        }
        let name = macro.name ?? "caller"
        let count = definition.parameters.count
        var values: [Value?] = arguments.positional.prefix(count).map { $0 }
        for parameter in macro.parameters.dropFirst(values.count) { values.append(take(parameter)) }
        let inner = Scope(template.layouts[definition.body.scope], parent: macro.scope)
        if definition.usesCaller, !definition.parameters.contains(template.callerName) {
            inner.set(template.callerName, take("caller") ?? .undefined(.hint("no caller is defined")))
        }
        if definition.usesKeywords {
            var mapping = Mapping()
            for (name, value) in keywords {
                try keep(value)
                mapping.set(Text(name), value)
            }
            inner.set(template.keywordsName, .mapping(mapping))
        } else if let keyword = keywords.first {
            throw Fault("the macro '\(name)' has no argument '\(keyword.name)'")
        }
        if definition.usesRest {
            let rest = Value.tuple(Array(arguments.positional.dropFirst(count)))
            try keep(rest)
            inner.set(template.restName, rest)
        } else if arguments.positional.count > count {
            throw Fault("the macro '\(name)' takes at most \(count) arguments, not \(arguments.positional.count)")
        }
        let outer = scope
        defer { scope = outer }
        for value in values { if let value { try keep(value) } }
        for (parameter, value) in zip(definition.parameters, values) { inner.set(parameter, value) }
        enter(inner)
        let firstDefault = count - definition.defaults.count
        for (place, parameter) in definition.parameters.enumerated() where values[place] == nil {
            inner.set(
                parameter,
                place >= firstDefault
                    ? try evaluate(definition.defaults[place - firstDefault])
                    : .undefined(.hint("the parameter '\(macro.parameters[place])' was not given")))
        }
        return .text(try captured { _ = try run(definition.body.body) })
    }
}

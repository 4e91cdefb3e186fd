/// Finds the variables of every scope, going through each scope as a whole before those within it: the rules of Jinja's
/// own compiler (idtracking), where they differ from Python's, too.
///
/// It also refuses filters and tests that do not exist, where Jinja does: not within `if`, whose branches may never run.
struct ScopeAnalysis {
    /// The variables of a scope while they are found.
    private struct Frame {
        var origins: [Int: ScopeLayout.Origin] = [:]
        var order: [Int] = []
        var stores: Set<Int> = []

        mutating func define(_ name: Int, _ origin: ScopeLayout.Origin) {
            if origins.updateValue(origin, forKey: name) == nil { order.append(name) }
        }

        var layout: ScopeLayout { ScopeLayout(names: order, origins: order.map { origins[$0]! }) }
    }

    private let template: String
    private let special: (loop: Int, caller: Int, keywords: Int, rest: Int)
    /// The scopes that are open, from the outermost to the current one.
    private var frames: [Frame] = [Frame()]
    private(set) var layouts: [ScopeLayout]
    /// Branches around the current place, within the current scope.
    private var branchDepth = 0

    init(_ parser: inout Parser) {
        template = parser.template
        special = (
            parser.number(of: "loop"), parser.number(of: "caller"), parser.number(of: "kwargs"),
            parser.number(of: "varargs")
        )
        layouts = Array(repeating: ScopeLayout(), count: parser.scopeCount)
    }

    /// The statements with what their macros use filled in, and the layout of the outermost scope.
    mutating func analyze(_ body: [Statement]) throws(TemplateError) -> (body: [Statement], root: ScopeLayout) {
        for statement in body { visit(statement) }
        let result = try inner(body)
        return (result, frames[0].layout)
    }

    // MARK: Variables of one scope

    private func isKnown(_ name: Int) -> Bool { frames.contains { $0.origins[name] != nil } }
    private func isKnownOutside(_ name: Int) -> Bool { frames.dropLast().contains { $0.origins[name] != nil } }

    private mutating func load(_ name: Int) {
        if !isKnown(name) { frames[frames.count - 1].define(name, .context) }
    }

    private mutating func store(_ name: Int) {
        let last = frames.count - 1
        frames[last].stores.insert(name)
        guard frames[last].origins[name] == nil else { return }
        frames[last].define(name, isKnownOutside(name) ? .outer : .nothing)
    }

    private mutating func declare(_ name: Int) {
        frames[frames.count - 1].stores.insert(name)
        frames[frames.count - 1].define(name, .parameter)
    }

    private mutating func visit(_ expression: Expression) {
        if case .name(let name) = expression.form { return load(name) }
        for child in expression.children { visit(child) }
    }

    private mutating func visit(_ target: Statement.Target, isParameter: Bool = false) {
        switch target {
        case .name(let name): isParameter ? declare(name) : store(name)
        case .attribute(let name, _): load(name)
        case .tuple(let targets): for target in targets { visit(target, isParameter: isParameter) }
        }
    }

    /// What a statement loads and stores in its own scope.
    private mutating func visit(_ statement: Statement) {
        switch statement {
        case .text, .leaveLoop, .continueLoop, .generation: break
        case .output(let expression): visit(expression)
        case .set(let target, let value):
            visit(value)
            visit(target)
        case .setBlock(let target, _, _): visit(target)
        case .choice(let branches, let otherwise): visit(branches, otherwise)
        case .loop(let loop): visit(loop.sequence)
        case .macro(let macro): if let name = macro.name { store(name) }
        case .call(_, let call): visit(call)
        case .filter(let filter, _): visit(filter)
        case .with(let values, _): for value in values { visit(value.value) }
        }
    }

    /// The first condition is always evaluated, the others only by those who come there.
    private mutating func visit(
        _ branches: ArraySlice<(condition: Expression, body: [Statement])>, _ otherwise: [Statement]
    ) {
        guard let first = branches.first else { return }
        visit(first.condition)
        let last = frames.count - 1
        let before = frames[last]
        var after: [Frame] = []
        for statement in first.body { visit(statement) }
        after.append(frames[last])
        frames[last] = before
        // Each 'elif' is an 'if' of its own, all in one branch.
        for branch in branches.dropFirst() { visit([branch][...], []) }
        after.append(frames[last])
        frames[last] = before
        for statement in otherwise { visit(statement) }
        after.append(frames[last])
        frames[last] = before
        merge(after)
    }

    private mutating func visit(
        _ branches: [(condition: Expression, body: [Statement])], _ otherwise: [Statement]
    ) {
        visit(branches[...], otherwise)
    }

    /// What only some branches store comes from outside where it was not stored.
    private mutating func merge(_ branches: [Frame]) {
        let last = frames.count - 1
        var stored: Set<Int> = []
        for branch in branches { stored.formUnion(branch.stores) }
        stored.subtract(frames[last].stores)
        for branch in branches {
            for name in branch.order { frames[last].define(name, branch.origins[name]!) }
            frames[last].stores.formUnion(branch.stores)
        }
        for name in stored { frames[last].define(name, isKnownOutside(name) ? .outer : .context) }
    }

    // MARK: Scopes within

    private mutating func scope<Result>(
        _ number: Int, _ find: (inout ScopeAnalysis) -> Void,
        _ within: (inout ScopeAnalysis) throws(TemplateError) -> Result
    ) throws(TemplateError) -> Result {
        frames.append(Frame())
        let branches = branchDepth
        branchDepth = 0
        find(&self)
        let result = try within(&self)
        branchDepth = branches
        layouts[number] = frames.removeLast().layout
        return result
    }

    private mutating func inner(_ body: [Statement]) throws(TemplateError) -> [Statement] {
        var result: [Statement] = []
        result.reserveCapacity(body.count)
        for statement in body { result.append(try inner(statement)) }
        return result
    }

    private mutating func inner(_ block: Statement.Block) throws(TemplateError) -> Statement.Block {
        try scope(block.scope) { analysis in
            for statement in block.body { analysis.visit(statement) }
        } _: { analysis throws(TemplateError) in
            Statement.Block(scope: block.scope, body: try analysis.inner(block.body))
        }
    }

    private mutating func inner(_ statement: Statement) throws(TemplateError) -> Statement {
        switch statement {
        case .text, .leaveLoop, .continueLoop: return statement
        case .output(let expression):
            try check(expression)
            return statement
        case .set(_, let value):
            try check(value)
            return statement
        case .setBlock(let target, let filter, let block):
            let body = try scope(block.scope) { analysis in
                for statement in block.body { analysis.visit(statement) }
                if let filter { analysis.visit(filter) }
            } _: { analysis throws(TemplateError) in
                if let filter { try analysis.check(filter) }
                return try analysis.inner(block.body)
            }
            return .setBlock(target, filter: filter, body: Statement.Block(scope: block.scope, body: body))
        case .choice(let branches, let otherwise): return try inner(branches, otherwise)
        case .loop(let loop): return .loop(try inner(loop))
        case .macro(let macro): return .macro(try inner(macro))
        case .call(let macro, let call):
            try check(call)
            return .call(try inner(macro), call)
        case .filter(let filter, let block):
            try check(filter)
            return .filter(filter, body: try inner(block))
        case .with(let values, let block):
            for value in values { try check(value.value) }
            let body = try scope(block.scope) { analysis in
                for value in values { analysis.visit(value.target, isParameter: true) }
                for statement in block.body { analysis.visit(statement) }
            } _: { analysis throws(TemplateError) in
                try analysis.inner(block.body)
            }
            return .with(values, body: Statement.Block(scope: block.scope, body: body))
        case .generation(let block): return .generation(try inner(block))
        }
    }

    private mutating func inner(
        _ branches: [(condition: Expression, body: [Statement])], _ otherwise: [Statement]
    ) throws(TemplateError) -> Statement {
        branchDepth += 1
        defer { branchDepth -= 1 }
        var result: [(condition: Expression, body: [Statement])] = []
        for branch in branches {
            try check(branch.condition)
            result.append((branch.condition, try inner(branch.body)))
        }
        return .choice(result, otherwise: try inner(otherwise))
    }

    private mutating func inner(_ loop: Statement.Loop) throws(TemplateError) -> Statement.Loop {
        try check(loop.sequence)
        var loop = loop
        if let condition = loop.condition {
            try scope(loop.conditionScope) { analysis in
                analysis.visit(loop.target, isParameter: true)
                analysis.visit(condition)
            } _: { analysis throws(TemplateError) in
                try analysis.check(condition)
            }
        }
        let block = loop.body
        loop.body.body = try scope(block.scope) { analysis in
            analysis.declare(analysis.special.loop)
            analysis.visit(loop.target, isParameter: true)
            for statement in block.body { analysis.visit(statement) }
        } _: { analysis throws(TemplateError) in
            try analysis.inner(block.body)
        }
        if let otherwise = loop.otherwise { loop.otherwise = try inner(otherwise) }
        return loop
    }

    private mutating func inner(_ macro: Statement.Macro) throws(TemplateError) -> Statement.Macro {
        var macro = macro
        macro.usesCaller = mentions(special.caller, macro.body.body)
        macro.usesKeywords = !macro.parameters.contains(special.keywords) && mentions(special.keywords, macro.body.body)
        macro.usesRest = !macro.parameters.contains(special.rest) && mentions(special.rest, macro.body.body)
        if macro.usesCaller, let place = macro.parameters.firstIndex(of: special.caller),
            place < macro.parameters.count - macro.defaults.count
        {
            throw TemplateError(
                kind: .syntax, template: template, line: macro.line, reason: "the parameter 'caller' needs a default")
        }
        let found = macro
        macro.body.body = try scope(macro.body.scope) { analysis in
            for name in found.parameters { analysis.declare(name) }
            for value in found.defaults { analysis.visit(value) }
            for statement in found.body.body { analysis.visit(statement) }
            if found.usesCaller { analysis.declare(analysis.special.caller) }
            if found.usesKeywords { analysis.declare(analysis.special.keywords) }
            if found.usesRest { analysis.declare(analysis.special.rest) }
        } _: { analysis throws(TemplateError) in
            for value in found.defaults { try analysis.check(value) }
            return try analysis.inner(found.body.body)
        }
        return macro
    }

    // MARK: Filters and tests

    private func check(_ expression: Expression, inBranch: Bool = false) throws(TemplateError) {
        var inBranch = inBranch
        switch expression.form {
        case .condition: inBranch = true
        case .filter(_, let name, _): try check("filter", name, Filters.names, expression, inBranch)
        case .test(_, let name, _): try check("test", name, Tests.names, expression, inBranch)
        default: break
        }
        for child in expression.children { try check(child, inBranch: inBranch) }
    }

    private func check(
        _ kind: String, _ name: String, _ known: Set<String>, _ expression: Expression, _ inBranch: Bool
    ) throws(TemplateError) {
        guard !known.contains(name), branchDepth == 0, !inBranch else { return }
        throw TemplateError(
            kind: .unsupported, template: template, line: expression.line,
            reason: "the \(kind) '\(name)' is not \(Filters.refused.contains(name) ? "supported" : "known")")
    }
}

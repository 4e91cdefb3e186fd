/// The variables of a running scope.
final class Scope {
    let layout: ScopeLayout
    /// Values by their place in the layout; nil: nothing was assigned.
    var slots: [Value?]
    let parent: Scope?

    init(_ layout: ScopeLayout, parent: Scope?) {
        self.layout = layout
        self.parent = parent
        slots = Array(repeating: nil, count: layout.names.count)
    }

    /// The nearest variable of this name.
    func value(of name: Int) -> Value? {
        var scope: Scope? = self
        while let current = scope {
            if let place = current.layout.place(of: name) { return current.slots[place] }
            scope = current.parent
        }
        return nil
    }

    func set(_ name: Int, _ value: Value?) {
        if let place = layout.place(of: name) { slots[place] = value }
    }
}

/// A loop as its body sees it.
final class LoopState {
    let items: [Value]
    /// The round, counted from 0; -1 before the first.
    var index = -1
    let depth: Int
    var lastChanged: [Value]?
    /// Where `loop(...)` of a recursive loop begins.
    let recursion: (statement: Statement.Loop, scope: Scope)?

    init(_ items: [Value], depth: Int, recursion: (statement: Statement.Loop, scope: Scope)?) {
        self.items = items
        self.depth = depth
        self.recursion = recursion
    }

    var count: Int { items.count }
}

/// A macro together with the scope that it was made in.
final class MacroValue {
    let definition: Statement.Macro
    let name: String?
    let parameters: [String]
    let scope: Scope

    init(_ definition: Statement.Macro, names: [String], scope: Scope) {
        self.definition = definition
        name = definition.name.map { names[$0] }
        parameters = definition.parameters.map { names[$0] }
        self.scope = scope
    }
}

/// What a function, filter, test or macro was called with.
struct Arguments {
    var positional: [Value] = []
    var keywords: [(name: String, value: Value)] = []

    /// The arguments by parameter, nil where none was given. Python's rules: each at most once, none left over.
    func bind(_ function: String, _ parameters: [String], required: Int = 0) throws -> [Value?] {
        guard positional.count <= parameters.count else {
            throw Fault("'\(function)' takes at most \(parameters.count) arguments, not \(positional.count)")
        }
        var result: [Value?] = positional + Array(repeating: nil, count: parameters.count - positional.count)
        for (name, value) in keywords {
            guard let place = parameters.firstIndex(of: name) else {
                throw Fault("'\(function)' has no argument '\(name)'")
            }
            guard result[place] == nil else { throw Fault("'\(function)' is given '\(name)' twice") }
            result[place] = value
        }
        if let missing = result.prefix(required).firstIndex(where: { $0 == nil }) {
            throw Fault("'\(function)' needs its argument '\(parameters[missing])'")
        }
        return result
    }
}

extension Filters {
    /// Filters of lists, mappings and what else one goes through.
    static let sequences: [String: Filter] = [
        "length": { value, arguments, _ in
            _ = try arguments.bind("length", [])
            return .integer(try value.length())
        },
        "count": { value, arguments, _ in
            _ = try arguments.bind("count", [])
            return .integer(try value.length())
        },
        "first": { value, arguments, _ in
            _ = try arguments.bind("first", [])
            if case .iterator(let iterator) = value {
                return try iterator.next() ?? .undefined(.hint("there is no first element"))
            }
            return try value.elements().first ?? .undefined(.hint("there is no first element"))
        },
        "last": { value, arguments, _ in
            _ = try arguments.bind("last", [])
            switch value {
            case .iterator, .undefined, .loop: throw Fault("a value of type '\(value.typeName)' has no last element")
            default: return try value.elements().last ?? .undefined(.hint("there is no last element"))
            }
        },
        "list": { value, arguments, interpreter in
            _ = try arguments.bind("list", [])
            let items = try value.elements()
            try interpreter.checkCount(items.count)
            return .list(items)
        },
        "reverse": { value, arguments, _ in
            _ = try arguments.bind("reverse", [])
            if case .text(let text) = value {
                return .text(Text(scalars: text.scalars.reversed()).marked(text.isMarkup))
            }
            let isList = if case .list = value { true } else { false }
            return .iterator(
                ValueIterator(
                    try value.elements().reversed(), typeName: isList ? "list_reverseiterator" : "reversed"))
        },
        "items": { value, arguments, _ in
            _ = try arguments.bind("items", [])
            if value.isUndefined { return .iterator(ValueIterator([])) }
            return .iterator(
                lazily {
                    guard case .mapping(let mapping) = value else {
                        throw Fault("'items' needs a mapping, not a value of type '\(value.typeName)'")
                    }
                    return ValueIterator(mapping.items)
                })
        },
        "dictsort": { value, arguments, interpreter in
            let bound = try arguments.bind("dictsort", ["case_sensitive", "by", "reverse"])
            let by = try text(bound[1], "by", default: "key").string
            guard by == "key" || by == "value" else { throw Fault("'by' of 'dictsort' is key or value, not '\(by)'") }
            guard case .mapping(let mapping) = value else {
                throw Fault("'dictsort' needs a mapping, not '\(value.typeName)'")
            }
            let keepsCase = bound[0]?.isTrue ?? false
            let keys = (by == "key" ? mapping.keys : mapping.values).map { keepsCase ? $0 : ignoringCase($0) }
            let items = mapping.items
            return .list(try sorted(keys, isReversed: bound[2]?.isTrue ?? false, interpreter).map { items[$0] })
        },
        "sort": { value, arguments, interpreter in
            let bound = try arguments.bind("sort", ["reverse", "case_sensitive", "attribute"])
            let items = try value.elements()
            let keepsCase = bound[1]?.isTrue ?? false
            let paths: [[Value]]
            if let text = bound[2]?.text {
                paths = try text.split(at: ",", limit: -1).map { try Self.path(.text($0)) }
            } else {
                paths = [try bound[2].map { try Self.path($0) } ?? []]
            }
            let keys = try items.map { item -> Value in
                .list(
                    try paths.map { path in
                        let key = try follow(path, from: item, interpreter)
                        return keepsCase ? key : ignoringCase(key)
                    })
            }
            return .list(try sorted(keys, isReversed: bound[0]?.isTrue ?? false, interpreter).map { items[$0] })
        },
        "unique": { value, arguments, interpreter in
            let bound = try arguments.bind("unique", ["case_sensitive", "attribute"])
            let (key, source) = (try keyed(bound[0], bound[1], interpreter), try value.iterator())
            var seen: Set<Mapping.Key> = []
            return .iterator(
                ValueIterator {
                    while let item = try source.next() {
                        if seen.insert(try key(item).key()).inserted { return item }
                    }
                    return nil
                })
        },
        "min": { value, arguments, interpreter in try extreme("min", value, arguments, interpreter) },
        "max": { value, arguments, interpreter in try extreme("max", value, arguments, interpreter) },
        "sum": { value, arguments, interpreter in
            let bound = try arguments.bind("sum", ["attribute", "start"])
            let path = try bound[0].map { try Self.path($0) } ?? []
            var result = bound[1] ?? .integer(0)
            if result.text != nil { throw Fault("'sum' does not add texts; use 'join'") }
            for item in try value.elements() {
                result = try interpreter.calculate(result, .add, try follow(path, from: item, interpreter))
            }
            return result
        },
        "batch": { value, arguments, interpreter in
            let bound = try arguments.bind("batch", ["linecount", "fill_with"], required: 1)
            let width = try integer(bound[0], "linecount", default: 1)
            guard width > 0 else { throw Fault("'linecount' of 'batch' must be positive") }
            try interpreter.checkCount(width)
            let items = try value.elements()
            return .iterator(
                ValueIterator(
                    stride(from: 0, to: items.count, by: width).map { start in
                        var part = Array(items[start..<min(start + width, items.count)])
                        if let fill = bound[1], !fill.isNone, part.count < width {
                            part += Array(repeating: fill, count: width - part.count)
                        }
                        return .list(part)
                    }))
        },
        "slice": { value, arguments, interpreter in
            let bound = try arguments.bind("slice", ["slices", "fill_with"], required: 1)
            let count = try integer(bound[0], "slices", default: 1)
            guard count > 0 else { throw Fault("'slices' of 'slice' must be positive") }
            try interpreter.checkCount(count)
            let items = try value.elements()
            let (width, extra) = items.count.quotientAndRemainder(dividingBy: count)
            return .iterator(
                ValueIterator(
                    (0..<count).map { number in
                        let start = number * width + min(number, extra)
                        var part = Array(items[start..<(start + width + (number < extra ? 1 : 0))])
                        if let fill = bound[1], !fill.isNone, number >= extra { part.append(fill) }
                        return .list(part)
                    }))
        },
        "groupby": { value, arguments, interpreter in try groups(value, arguments, interpreter) },
        "map": { value, arguments, interpreter in try mapped(value, arguments, interpreter) },
        "select": { try selected("select", $0, $1, $2, keeps: true, hasAttribute: false) },
        "reject": { try selected("reject", $0, $1, $2, keeps: false, hasAttribute: false) },
        "selectattr": { try selected("selectattr", $0, $1, $2, keeps: true, hasAttribute: true) },
        "rejectattr": { try selected("rejectattr", $0, $1, $2, keeps: false, hasAttribute: true) },
    ]

    /// What Python's generators do: nothing before somebody asks.
    private static func lazily(_ make: @escaping () throws -> ValueIterator) -> ValueIterator {
        var source: ValueIterator?
        return ValueIterator {
            if source == nil { source = try make() }
            return try source?.next()
        }
    }

    /// Places in sorted order; equal ones keep theirs, in reverse too.
    private static func sorted(_ keys: [Value], isReversed: Bool, _ interpreter: Interpreter) throws -> [Int] {
        try interpreter.spend(keys.count * 8)
        let places = Array(keys.indices)
        return try places.sorted { a, b in
            if isReversed {
                if try keys[b].isLess(than: keys[a]) { return true }
                return false
            }
            return try keys[a].isLess(than: keys[b])
        }
    }

    private static func keyed(
        _ caseSensitive: Value?, _ attribute: Value?, _ interpreter: Interpreter
    ) throws -> (Value) throws -> Value {
        let path = try attribute.map { try Self.path($0) } ?? []
        let keepsCase = caseSensitive?.isTrue ?? false
        return { item in
            let key = try follow(path, from: item, interpreter)
            return keepsCase ? key : ignoringCase(key)
        }
    }

    private static func extreme(
        _ name: String, _ value: Value, _ arguments: Arguments, _ interpreter: Interpreter
    ) throws -> Value {
        let bound = try arguments.bind(name, ["case_sensitive", "attribute"])
        let key = try keyed(bound[0], bound[1], interpreter)
        let items = try value.elements()
        guard var best = items.first else { return .undefined(.hint("'\(name)' of nothing")) }
        var bestKey = try key(best)
        for item in items.dropFirst() {
            let itemKey = try key(item)
            let isBetter = try name == "min" ? itemKey.isLess(than: bestKey) : bestKey.isLess(than: itemKey, ">")
            if isBetter { (best, bestKey) = (item, itemKey) }
        }
        return best
    }

    private static func groups(_ value: Value, _ arguments: Arguments, _ interpreter: Interpreter) throws -> Value {
        let bound = try arguments.bind("groupby", ["attribute", "default", "case_sensitive"], required: 1)
        let path = try Self.path(bound[0]!)
        let keepsCase = bound[2]?.isTrue ?? false
        let items = try value.elements()
        let own = try items.map { try follow(path, from: $0, default: bound[1], interpreter) }
        let keys = own.map { keepsCase ? $0 : ignoringCase($0) }
        var result: [(key: Value, grouper: Value, items: [Value])] = []
        for place in try sorted(keys, isReversed: false, interpreter) {
            if let last = result.last, try last.key.equals(keys[place]) {
                result[result.count - 1].items.append(items[place])
            } else {
                result.append((keys[place], own[place], [items[place]]))
            }
        }
        return .list(result.map { .tuple([$0.grouper, .list($0.items)]) })
    }

    private static func mapped(_ value: Value, _ arguments: Arguments, _ interpreter: Interpreter) throws -> Value {
        guard value.isTrue else { return .iterator(ValueIterator([])) }
        return .iterator(
            lazily {
                let change: (Value) throws -> Value
                if arguments.positional.isEmpty, arguments.keywords.contains(where: { $0.name == "attribute" }) {
                    let bound = try Arguments(keywords: arguments.keywords).bind("map", ["attribute", "default"])
                    let path = try Self.path(bound[0]!)
                    change = { try follow(path, from: $0, default: bound[1], interpreter) }
                } else {
                    guard let name = arguments.positional.first?.text else {
                        throw Fault("'map' needs the name of a filter")
                    }
                    let rest = Arguments(
                        positional: Array(arguments.positional.dropFirst()), keywords: arguments.keywords)
                    change = { try apply(name.string, $0, rest, interpreter) }
                }
                let source = try value.iterator()
                return ValueIterator { try source.next().map { try change($0) } }
            })
    }

    private static func selected(
        _ name: String, _ value: Value, _ arguments: Arguments, _ interpreter: Interpreter, keeps: Bool,
        hasAttribute: Bool
    ) throws -> Value {
        guard value.isTrue else { return .iterator(ValueIterator([])) }
        return .iterator(
            lazily {
                var positional = arguments.positional[...]
                var path: [Value] = []
                if hasAttribute {
                    guard let attribute = positional.popFirst() else { throw Fault("'\(name)' needs an attribute") }
                    path = try Self.path(attribute)
                }
                let test = positional.popFirst()
                let rest = Arguments(positional: Array(positional), keywords: arguments.keywords)
                let source = try value.iterator()
                return ValueIterator {
                    while let item = try source.next() {
                        try interpreter.spend(1)
                        let tested = try follow(path, from: item, interpreter)
                        let holds: Bool
                        if let test {
                            guard let testName = test.text else { throw Fault("'\(name)' needs the name of a test") }
                            holds = try Tests.holds(testName.string, tested, rest)
                        } else {
                            holds = tested.isTrue
                        }
                        if holds == keeps { return item }
                    }
                    return nil
                }
            })
    }
}

/// Methods of lists, tuples, ranges and mappings that change nothing.
enum ContainerMethods {
    static let mapping: Set<String> = ["get", "items", "keys", "values", "copy"]
    static let mappingChanges: Set<String> = ["clear", "pop", "popitem", "setdefault", "update", "fromkeys"]
    static let list: Set<String> = ["count", "index", "copy"]
    static let listChanges: Set<String> = [
        "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove",
    ]

    static func call(
        _ name: String, _ receiver: Value, _ arguments: Arguments, _ interpreter: Interpreter
    ) throws -> Value {
        guard arguments.keywords.isEmpty else { throw Fault("'\(name)' has no named arguments") }
        switch receiver {
        case .mapping(let mapping): return try call(name, mapping, arguments)
        case .list(let items), .tuple(let items):
            if name == "copy" {
                _ = try arguments.bind(name, [])
                return receiver
            }
            return try find(name, items, arguments, interpreter)
        case .range(let range):
            // Python's range takes no place to begin at.
            _ = try arguments.bind(name, ["value"], required: 1)
            return try find(name, range.values, arguments, interpreter)
        default: throw Fault("a value of type '\(receiver.typeName)' has no method '\(name)'")
        }
    }

    private static func call(_ name: String, _ mapping: Mapping, _ arguments: Arguments) throws -> Value {
        if name == "get" {
            let bound = try arguments.bind("get", ["key", "default"], required: 1)
            return try mapping[bound[0]!.key()] ?? bound[1] ?? .none
        }
        _ = try arguments.bind(name, [])
        switch name {
        case "items": return .view(MappingView(kind: .items, mapping: mapping))
        case "keys": return .view(MappingView(kind: .keys, mapping: mapping))
        case "values": return .view(MappingView(kind: .values, mapping: mapping))
        default: return .mapping(mapping)
        }
    }

    private static func find(
        _ name: String, _ items: [Value], _ arguments: Arguments, _ interpreter: Interpreter
    ) throws -> Value {
        try interpreter.spend(items.count)
        if name == "count" {
            let value = try arguments.bind(name, ["value"], required: 1)[0]!
            return .integer(try items.reduce(0) { try $0 + ($1.equals(value, interpreter) ? 1 : 0) })
        }
        let bound = try arguments.bind(name, ["value", "start", "stop"], required: 1)
        func place(_ value: Value?, _ otherwise: Int) throws -> Int {
            let given = try Filters.integer(value, "start", default: otherwise)
            return max(0, given < 0 ? given + items.count : given)
        }
        let start = try place(bound[1], 0), stop = min(try place(bound[2], items.count), items.count)
        if start < stop {
            for index in start..<stop where try items[index].equals(bound[0]!, interpreter) { return .integer(index) }
        }
        throw Fault("'index' finds no such element")
    }
}

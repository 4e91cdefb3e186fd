/// Python's `dict`: keys in the order in which they came, equal as Python's are (`1`, `1.0` and `True` are one key).
struct Mapping {
    /// A key as it is compared.
    enum Key: Hashable {
        case none
        case undefined
        case integer(Int)
        case double(Double)
        case text(Text)
        indirect case tuple([Key])
        case object(ObjectIdentifier)
    }

    private(set) var keys: [Value] = []
    private(set) var values: [Value] = []
    private var places: [Key: Int] = [:]

    var count: Int { keys.count }
    var items: [Value] { zip(keys, values).map { .tuple([$0, $1]) } }

    subscript(_ key: Key) -> Value? { places[key].map { values[$0] } }
    subscript(_ name: Text) -> Value? { places[.text(name)].map { values[$0] } }

    /// A key that is there keeps its place and its first spelling.
    mutating func set(_ key: Value, _ value: Value) throws {
        let hashed = try key.key()
        if let place = places[hashed] {
            values[place] = value
        } else {
            places[hashed] = keys.count
            keys.append(key)
            values.append(value)
        }
    }

    mutating func set(_ name: Text, _ value: Value) {
        if let place = places[.text(name)] {
            values[place] = value
        } else {
            places[.text(name)] = keys.count
            keys.append(.text(name))
            values.append(value)
        }
    }

    /// Drops all, for values that hold themselves.
    mutating func removeAll() { self = Mapping() }

    /// The same keys with equal values.
    func equals(_ other: Mapping, _ depth: Int) throws -> Bool {
        guard count == other.count else { return false }
        for (key, place) in places {
            guard let value = other[key], try values[place].equals(value, depth) else { return false }
        }
        return true
    }
}

extension Value {
    /// The value as a mapping compares it; lists and mappings are no keys.
    func key() throws -> Mapping.Key {
        switch self {
        case .none: return .none
        case .undefined: return .undefined
        case .bool(let value): return .integer(value ? 1 : 0)
        case .integer(let value): return .integer(value)
        case .double(let value): return Int(exactly: value).map { .integer($0) } ?? .double(value)
        case .text(let text): return .text(text)
        case .tuple(let items): return .tuple(try items.map { try $0.key() })
        case .namespace(let value): return .object(ObjectIdentifier(value))
        case .macro(let value): return .object(ObjectIdentifier(value))
        default: throw Fault("a value of type '\(typeName)' cannot be a key")
        }
    }
}

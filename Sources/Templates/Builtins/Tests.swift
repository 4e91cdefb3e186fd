/// Jinja's tests, what stands after `is`.
enum Tests {
    static let names: Set<String> = [
        "defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping",
        "sequence", "iterable", "callable", "escaped", "lower", "upper", "odd", "even", "filter", "test",
        "divisibleby", "sameas", "in", "==", "eq", "equalto", "!=", "ne", ">", "gt", "greaterthan", ">=", "ge", "<",
        "lt", "lessthan", "<=", "le",
    ]

    static func holds(
        _ name: String, _ value: Value, _ arguments: Arguments, _ interpreter: Interpreter
    ) throws -> Bool {
        if case .text(let text) = value { try interpreter.spend(text.bytes.count >> 6) }
        switch name {
        case "divisibleby", "sameas", "in", "==", "eq", "equalto", "!=", "ne", ">", "gt", "greaterthan", ">=", "ge",
            "<", "lt", "lessthan", "<=", "le":
            let parameter = ["divisibleby": "num", "sameas": "other", "in": "seq"][name] ?? "b"
            return try compare(name, value, try arguments.bind(name, [parameter], required: 1)[0]!, interpreter)
        default:
            _ = try arguments.bind(name, [])
            return try holds(name, value)
        }
    }

    private static func compare(
        _ name: String, _ value: Value, _ other: Value, _ meter: Interpreter
    ) throws -> Bool {
        switch name {
        case "divisibleby":
            return try remainder(value, other) == 0
        case "sameas": return try isSame(value, other)
        case "in": return try value.isIn(other, meter)
        case "==", "eq", "equalto": return try value.equals(other, meter)
        case "!=", "ne": return try !value.equals(other, meter)
        case ">", "gt", "greaterthan": return try other.isLess(than: value, meter, ">")
        case ">=", "ge": return try other.isAtMost(value, meter, ">=")
        case "<=", "le": return try value.isAtMost(other, meter, "<=")
        default: return try value.isLess(than: other, meter)
        }
    }

    /// Python's `is`, where it does not depend on how values are stored.
    private static func isSame(_ value: Value, _ other: Value) throws -> Bool {
        switch (value, other) {
        case (.none, .none): return true
        case (.bool(let a), .bool(let b)): return a == b
        case (.none, _), (_, .none), (.bool, _), (_, .bool): return false
        default:
            if let identity = value.identity { return identity == other.identity }
            guard value.typeName == other.typeName else { return false }
            throw Fault("'sameas' of values of type '\(value.typeName)' is not supported", .unsupported)
        }
    }

    private static func remainder(_ value: Value, _ other: Value) throws -> Double {
        if case .undefined(let undefined) = value { throw Fault(undefined.reason) }
        if let a = value.integer, let b = other.integer {
            guard b != 0 else { throw Fault("'divisibleby' divides by zero") }
            return b == -1 ? 0 : Double(a % b)
        }
        guard let a = value.double, let b = other.double else {
            throw Fault("a value of type '\(value.typeName)' has no remainder")
        }
        guard b != 0 else { throw Fault("'divisibleby' divides by zero") }
        return a.truncatingRemainder(dividingBy: b)
    }

    private static func holds(_ name: String, _ value: Value) throws -> Bool {
        switch name {
        case "defined": return !value.isUndefined
        case "undefined": return value.isUndefined
        case "none": return value.isNone
        case "boolean": if case .bool = value { return true } else { return false }
        case "true": if case .bool(true) = value { return true } else { return false }
        case "false": if case .bool(false) = value { return true } else { return false }
        case "integer": if case .integer = value { return true } else { return false }
        case "float": if case .double = value { return true } else { return false }
        case "number": return value.double != nil
        case "string": return value.text != nil
        case "mapping": if case .mapping = value { return true } else { return false }
        case "sequence":
            switch value {
            case .undefined, .text, .list, .tuple, .mapping, .range: return true
            default: return false
            }
        case "iterable": return value.isIterable
        case "callable":
            switch value {
            case .undefined, .loop, .macro, .function, .method, .joiner: return true
            default: return false
            }
        case "escaped": return value.text?.isMarkup ?? false
        case "lower": return try value.printed().isLowercase
        case "upper": return try value.printed().isUppercase
        case "odd": return abs(try remainder(value, .integer(2))) == 1
        case "even": return try remainder(value, .integer(2)) == 0
        case "filter", "test":
            // Names are looked up as keys are: a list cannot be one.
            _ = try value.key()
            return value.text.map { (name == "filter" ? Filters.names : names).contains($0.string) } ?? false
        default: throw Fault("the test '\(name)' is not known", .unsupported)
        }
    }
}

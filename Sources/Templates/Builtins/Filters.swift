/// Jinja's filters, by name, with its arguments' names and order.
enum Filters {
    typealias Filter = @Sendable (Value, Arguments, Interpreter) throws -> Value

    static let table: [String: Filter] = texts.merging(sequences) { $1 }.merging(numbers) { $1 }

    /// In Jinja, and not here: they draw at random, or write HTML.
    static let refused: Set<String> = [
        "random", "urlize", "xmlattr", "striptags", "pprint", "wordwrap", "filesizeformat",
    ]

    static let names = Set(table.keys)

    static func apply(_ name: String, _ value: Value, _ arguments: Arguments, _ interpreter: Interpreter) throws
        -> Value
    {
        guard let filter = table[name] else {
            throw Fault(
                "the filter '\(name)' is not \(refused.contains(name) ? "supported" : "known")", .unsupported)
        }
        try interpreter.descend()
        if case .text(let text) = value { try interpreter.spend(text.bytes.count >> 5) }
        if case .iterator = value {} else if let count = try? value.length() { try interpreter.spend(count >> 4) }
        return try filter(value, arguments, interpreter)
    }

    // MARK: Arguments

    static func integer(_ value: Value?, _ name: String, default otherwise: Int) throws -> Int {
        guard let value else { return otherwise }
        guard let integer = value.integer else {
            throw Fault("'\(name)' is an integer, not a value of type '\(value.typeName)'")
        }
        return integer
    }

    static func text(_ value: Value?, _ name: String, default otherwise: Text) throws -> Text {
        guard let value else { return otherwise }
        guard let text = value.text else {
            throw Fault("'\(name)' is a text, not a value of type '\(value.typeName)'")
        }
        return text
    }

    /// `attribute=` of many filters: a dotted path, or one index.
    static func path(_ value: Value) throws -> [Value] {
        switch value {
        case .none: []
        case .text(let text):
            text.split(at: ".", limit: -1).map { part in
                part.isASCII && !part.isEmpty && part.bytes.allSatisfy { (0x30...0x39).contains($0) }
                    ? Int(part.string).map { .integer($0) } ?? .text(part) : .text(part)
            }
        default: [value]
        }
    }

    static func follow(
        _ path: [Value], from value: Value, default otherwise: Value? = nil, _ interpreter: Interpreter
    ) throws -> Value {
        var value = value
        for part in path {
            try interpreter.spend(1)
            value = try interpreter.item(part, of: value)
            if let otherwise, !otherwise.isNone, value.isUndefined { value = otherwise }
        }
        return value
    }

    static func ignoringCase(_ value: Value) -> Value {
        if case .text(let text) = value { .text(text.lowercased) } else { value }
    }

    // MARK: Numbers and anything

    private static let numbers: [String: Filter] = [
        "abs": { value, arguments, interpreter in
            _ = try arguments.bind("abs", [])
            if case .double(let number) = value { return .double(number.magnitude) }
            guard let integer = value.integer else { throw Fault("'abs' needs a number, not '\(value.typeName)'") }
            return integer < 0
                ? try interpreter.calculate(.integer(0), .subtract, .integer(integer)) : .integer(integer)
        },
        "int": { value, arguments, _ in
            let bound = try arguments.bind("int", ["default", "base"])
            if case .undefined(let undefined) = value { throw Fault(undefined.reason) }
            let otherwise = bound[0] ?? .integer(0)
            if let integer = value.integer { return .integer(integer) }
            if case .text(let text) = value {
                let base = try integer(bound[1], "base", default: 10)
                if let integer = try PythonNumber.integer(text, radix: base) { return .integer(integer) }
            }
            let number = value.text.flatMap { PythonNumber.double($0) } ?? value.double
            guard let number, number.isFinite else { return otherwise }
            guard let integer = Int(exactly: number.rounded(.towardZero)) else {
                throw Fault("the integer has more than 64 bits", .unsupported)
            }
            return .integer(integer)
        },
        "float": { value, arguments, _ in
            let bound = try arguments.bind("float", ["default"])
            if case .undefined(let undefined) = value { throw Fault(undefined.reason) }
            let number = value.text.flatMap { PythonNumber.double($0) } ?? value.double
            return number.map { .double($0) } ?? bound[0] ?? .double(0)
        },
        "round": { value, arguments, _ in try round(value, arguments) },
        "default": { value, arguments, _ in try orDefault(value, arguments) },
        "d": { value, arguments, _ in try orDefault(value, arguments) },
        "attr": { value, arguments, interpreter in
            let name = try text(try arguments.bind("attr", ["name"], required: 1)[0], "name", default: .empty)
            // Items are no attributes here.
            if case .mapping(let mapping) = value, !ContainerMethods.mapping.contains(name.string), mapping[name] != nil
            {
                return .undefined(.attribute("dict", name))
            }
            return try interpreter.attribute(name, of: value)
        },
        "tojson": { value, arguments, interpreter in
            .text(try JSONDump.text(of: value, arguments, interpreter))
        },
    ]

    private static func orDefault(_ value: Value, _ arguments: Arguments) throws -> Value {
        let bound = try arguments.bind("default", ["default_value", "boolean"])
        let takes = value.isUndefined || (bound[1]?.isTrue ?? false) && !value.isTrue
        return takes ? bound[0] ?? .text(Text.empty) : value
    }

    private static func round(_ value: Value, _ arguments: Arguments) throws -> Value {
        let bound = try arguments.bind("round", ["precision", "method"])
        let precision = try integer(bound[0], "precision", default: 0)
        let method = try text(bound[1], "method", default: "common").string
        guard ["common", "ceil", "floor"].contains(method) else {
            throw Fault("'method' of 'round' is common, ceil or floor, not '\(method)'")
        }
        if case .undefined(let undefined) = value { throw Fault(undefined.reason) }
        guard let number = value.double else { throw Fault("'round' needs a number, not '\(value.typeName)'") }
        guard (-300...300).contains(precision) else { throw Fault("'precision' \(precision) is beyond any float") }
        if method != "common" {
            let scale = (0..<precision.magnitude).reduce(1.0) { scale, _ in scale * 10 }
            let scaled = precision < 0 ? number / scale : number * scale
            let rounded = scaled.rounded(method == "ceil" ? .up : .down)
            // Python's ceil and floor give integers, and '/' of them a float.
            return .double((precision < 0 ? rounded * scale : rounded / scale) + 0)
        }
        if let integer = value.integer {
            guard precision < 0 else { return .integer(integer) }
            guard precision >= -18 else { return .integer(0) }
            let unit = (0..<(-precision)).reduce(1) { unit, _ in unit * 10 }
            var (quotient, remainder) = integer.quotientAndRemainder(dividingBy: unit)
            if remainder < 0 { (quotient, remainder) = (quotient - 1, remainder + unit) }
            let twice = remainder.multipliedReportingOverflow(by: 2).partialValue
            if twice > unit || twice == unit && quotient % 2 != 0 { quotient += 1 }
            return .integer(quotient * unit)
        }
        guard number.isFinite else { return .double(number) }
        if precision >= 0 {
            return .double(Double(PythonNumber.formatted(number, precision: precision, style: "f")) ?? number)
        }
        let scale = (0..<(-precision)).reduce(1.0) { scale, _ in scale * 10 }
        return .double((number / scale).rounded(.toNearestOrEven) * scale)
    }
}

/// What may be called by its name alone.
enum Functions {
    static let table: [String: @Sendable () -> Function] = [
        "range": { Function("range") { interpreter, arguments in try range(arguments, interpreter) } },
        "namespace": {
            Function("namespace") { interpreter, arguments in
                let attributes = try mapping("namespace", arguments, interpreter)
                for key in attributes.keys where key.text?.bytes.first == UInt8(ascii: "_") {
                    throw Fault("an attribute of a namespace begins with '_'")
                }
                return interpreter.makeNamespace(attributes)
            }
        },
        "dict": {
            Function("dict") { interpreter, arguments in .mapping(try mapping("dict", arguments, interpreter)) }
        },
        "raise_exception": {
            Function("raise_exception") { _, arguments in
                let message = try arguments.bind("raise_exception", ["message"], required: 1)[0]!
                throw Fault(try message.printed().string, .raised)
            }
        },
        "strftime_now": {
            Function("strftime_now") { interpreter, arguments in
                let format = try arguments.bind("strftime_now", ["format"], required: 1)[0]!
                guard let text = format.text else { throw Fault("'strftime_now' needs a text") }
                return .text(try interpreter.date.formatted(text.string))
            }
        },
        "cycler": {
            Function("cycler") { _, arguments in
                guard !arguments.positional.isEmpty, arguments.keywords.isEmpty else {
                    throw Fault("'cycler' needs at least one value")
                }
                return .cycler(Cycler(arguments.positional))
            }
        },
        "joiner": {
            Function("joiner") { _, arguments in
                .joiner(Joiner(try Filters.text(try arguments.bind("joiner", ["sep"])[0], "sep", default: ", ")))
            }
        },
        "lipsum": { Function("lipsum") { _, _ in throw Fault("'lipsum' is not supported", .unsupported) } },
    ]

    private static func range(_ arguments: Arguments, _ interpreter: Interpreter) throws -> Value {
        guard arguments.keywords.isEmpty, (1...3).contains(arguments.positional.count) else {
            throw Fault("'range' takes one to three integers")
        }
        let numbers = try arguments.positional.map { value -> Int in
            if case .undefined(let undefined) = value { throw Fault(undefined.reason) }
            return try Filters.integer(value, "range", default: 0)
        }
        let range = RangeValue(
            start: numbers.count > 1 ? numbers[0] : 0, stop: numbers.count > 1 ? numbers[1] : numbers[0],
            step: numbers.count > 2 ? numbers[2] : 1)
        guard range.step != 0, range.step != .min else { throw Fault("the step of 'range' is 0") }
        guard range.count <= TemplateLimits.rangeCount else {
            throw Fault("'range' of more than \(TemplateLimits.rangeCount) integers", .limit)
        }
        return .range(range)
    }

    /// The arguments of `dict`: a mapping or pairs, and names.
    private static func mapping(
        _ name: String, _ arguments: Arguments, _ interpreter: Interpreter
    ) throws -> Mapping {
        guard arguments.positional.count <= 1 else { throw Fault("'\(name)' takes at most one argument by place") }
        var result = Mapping()
        if let given = arguments.positional.first {
            if case .undefined(let undefined) = given { throw Fault(undefined.reason) }
            if case .mapping(let mapping) = given {
                result = mapping
            } else {
                for pair in try given.elements() {
                    let pair = try pair.elements()
                    guard pair.count == 2 else { throw Fault("'\(name)' needs pairs, not \(pair.count) values") }
                    try result.set(pair[0], pair[1])
                }
            }
        }
        for (name, value) in arguments.keywords { result.set(Text(name), value) }
        try interpreter.checkCount(result.count)
        return result
    }
}

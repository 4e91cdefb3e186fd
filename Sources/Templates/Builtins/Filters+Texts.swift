extension Filters {
    /// Filters that make texts.
    static let texts: [String: Filter] = [
        "string": { value, arguments, _ in
            _ = try arguments.bind("string", [])
            return .text(try value.softText())
        },
        "upper": { value, arguments, _ in try plain("upper", value, arguments) { $0.uppercased } },
        "lower": { value, arguments, _ in try plain("lower", value, arguments) { $0.lowercased } },
        "capitalize": { value, arguments, _ in try plain("capitalize", value, arguments) { $0.capitalized } },
        "title": { value, arguments, _ in try plain("title", value, arguments) { titled($0) } },
        "trim": { value, arguments, _ in
            let characters = try arguments.bind("trim", ["chars"])[0]
            let set = characters.flatMap { $0.isNone ? nil : $0 }
            return .text(
                try value.softText().stripped(characters: try set.map { try text($0, "chars", default: .empty) }))
        },
        "replace": { value, arguments, interpreter in
            let bound = try arguments.bind("replace", ["old", "new", "count"], required: 2)
            let count = bound[2].map { $0.isNone } ?? true ? -1 : try integer(bound[2], "count", default: -1)
            let (old, new) = (try bound[0]!.printed(), try bound[1]!.printed())
            return .text(
                try StringMethods.replace(try value.printed(), old, new, count: count, interpreter).marked(false))
        },
        "center": { value, arguments, interpreter in
            let width = try integer(try arguments.bind("center", ["width"])[0], "width", default: 80)
            return .text(try StringMethods.padded(try value.softText(), to: width, with: " ", .center, interpreter))
        },
        "indent": { value, arguments, interpreter in try indent(value, arguments, interpreter) },
        "truncate": { value, arguments, _ in try truncate(value, arguments) },
        "wordcount": { value, arguments, _ in
            _ = try arguments.bind("wordcount", [])
            var count = 0, isInWord = false
            for scalar in try value.softText().scalars {
                let isWord = scalar == "_" || scalar.isAlphanumeric
                if isWord, !isInWord { count += 1 }
                isInWord = isWord
            }
            return .integer(count)
        },
        "format": { value, arguments, interpreter in
            guard arguments.positional.isEmpty || arguments.keywords.isEmpty else {
                throw Fault("'format' takes either arguments by place or by name")
            }
            var named = Mapping()
            for (name, value) in arguments.keywords { named.set(Text(name), value) }
            let operand: Value = arguments.keywords.isEmpty ? .tuple(arguments.positional) : .mapping(named)
            return .text(try Formatting.percent(try value.softText(), operand, interpreter))
        },
        "join": { value, arguments, interpreter in
            let bound = try arguments.bind("join", ["d", "attribute"])
            let path = try bound[1].map { try Self.path($0) } ?? []
            let separator = try bound[0]?.printed() ?? .empty
            return try StringMethods.join(
                separator, try value.elements().map { try follow(path, from: $0, interpreter).printed() }, interpreter)
        },
        "safe": { value, arguments, _ in
            _ = try arguments.bind("safe", [])
            return .text(try value.printed().marked(true))
        },
        "escape": { value, arguments, _ in try plain("escape", value, arguments) { $0.escaped } },
        "e": { value, arguments, _ in try plain("escape", value, arguments) { $0.escaped } },
        "forceescape": { value, arguments, _ in
            try plain("forceescape", value, arguments) { $0.marked(false).escaped }
        },
        "urlencode": { value, arguments, _ in try urlEncoded(value, arguments) },
    ]

    private static func plain(
        _ name: String, _ value: Value, _ arguments: Arguments, _ change: (Text) -> Text
    ) throws -> Value {
        _ = try arguments.bind(name, [])
        return .text(change(try value.softText()))
    }

    /// Words begin after white space, hyphens and opening brackets; the rest of each is made small.
    private static func titled(_ text: Text) -> Text {
        var result: [UInt8] = []
        var word: [Unicode.Scalar] = []
        func flush() {
            guard let first = word.first else { return }
            result += Text(scalars: [first]).uppercased.bytes + Text(scalars: word.dropFirst()).lowercased.bytes
            word = []
        }
        for scalar in text.scalars {
            if scalar.isPythonSpace || "-({[<".unicodeScalars.contains(scalar) {
                flush()
                result.append(contentsOf: UTF8.encode(scalar)!)
            } else {
                word.append(scalar)
            }
        }
        flush()
        return Text(bytes: result)
    }

    private static func indent(_ value: Value, _ arguments: Arguments, _ interpreter: Interpreter) throws -> Value {
        let bound = try arguments.bind("indent", ["width", "first", "blank"])
        let isFirst = bound[1]?.isTrue ?? false, isBlank = bound[2]?.isTrue ?? false
        guard let text = value.text else { throw Fault("'indent' needs a text, not '\(value.typeName)'") }
        var prefix: Text
        if let given = bound[0]?.text {
            prefix = given
        } else {
            let width = try integer(bound[0], "width", default: 4)
            try interpreter.checkSize(max(width, 0))
            prefix = Text(bytes: Array(repeating: 0x20, count: max(width, 0)))
        }
        let lines = (text.marked(false) + "\n").lines(keepingEnds: false)
        var size = 0
        for line in lines { size += line.bytes.count + prefix.bytes.count + 1 }
        try interpreter.checkSize(size)
        var bytes: [UInt8] = isFirst ? prefix.bytes : []
        for (index, line) in lines.enumerated() {
            if index > 0 {
                bytes.append(0x0A)
                if isBlank || !line.isEmpty { bytes += prefix.bytes }
            }
            bytes += line.bytes
        }
        return .text(Text(bytes: bytes, isMarkup: text.isMarkup))
    }

    private static func truncate(_ value: Value, _ arguments: Arguments) throws -> Value {
        let bound = try arguments.bind("truncate", ["length", "killwords", "end", "leeway"])
        guard let text = value.text else { throw Fault("'truncate' needs a text, not '\(value.typeName)'") }
        let length = try integer(bound[0], "length", default: 255)
        let end = try self.text(bound[2], "end", default: "...")
        let leeway = try integer(bound[3].flatMap { $0.isNone ? nil : $0 }, "leeway", default: 5)
        guard length >= end.count, leeway >= 0 else {
            throw Fault("'truncate' needs a length of at least \(end.count) and a leeway of at least 0")
        }
        if text.count <= length || text.count - length <= leeway { return value }
        let kept = text.slice(0..<(length - end.count))
        if bound[1]?.isTrue ?? false { return .text(kept + end) }
        return .text((kept.splitFromRight(at: " ", limit: 1).first ?? kept) + end)
    }

    private static func urlEncoded(_ value: Value, _ arguments: Arguments) throws -> Value {
        _ = try arguments.bind("urlencode", [])
        func quote(_ value: Value, inQuery: Bool) throws -> [UInt8] {
            var result: [UInt8] = []
            for byte in try value.printed().bytes {
                let isSafe =
                    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || [0x5F, 0x2E, 0x2D, 0x7E].contains(byte) || byte == 0x2F && !inQuery
                if isSafe {
                    result.append(byte)
                } else if byte == 0x20, inQuery {
                    result.append(0x2B)
                } else {
                    let digits = String(byte, radix: 16, uppercase: true)
                    result += Array("%\(digits.count == 1 ? "0" : "")\(digits)".utf8)
                }
            }
            return result
        }
        guard value.text == nil, value.isIterable else { return .text(Text(bytes: try quote(value, inQuery: false))) }
        let items: [Value]
        if case .mapping(let mapping) = value { items = mapping.items } else { items = try value.elements() }
        var parts: [[UInt8]] = []
        for item in items {
            let pair = try item.elements()
            guard pair.count == 2 else { throw Fault("'urlencode' needs pairs") }
            parts.append(try quote(pair[0], inQuery: true) + [UInt8(ascii: "=")] + quote(pair[1], inQuery: true))
        }
        return .text(Text(bytes: Array(parts.joined(separator: [UInt8(ascii: "&")]))))
    }
}

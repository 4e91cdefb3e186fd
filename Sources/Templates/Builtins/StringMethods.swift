/// Python's methods of texts.
enum StringMethods {
    static let names: Set<String> = [
        "capitalize", "casefold", "center", "count", "encode", "endswith", "expandtabs", "find", "format", "format_map",
        "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric",
        "isprintable", "isspace", "istitle", "isupper", "join", "ljust", "lower", "lstrip", "maketrans", "partition",
        "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip",
        "split", "splitlines", "startswith", "strip", "swapcase", "title", "translate", "upper", "zfill",
    ]

    static func call(_ name: String, _ text: Text, _ arguments: Arguments, _ interpreter: Interpreter) throws -> Value {
        try interpreter.spend(1 + text.bytes.count >> 6)
        switch name {
        case "format", "format_map":
            guard !text.isMarkup else { throw Fault("'\(name)' of markup is not supported", .unsupported) }
            var arguments = arguments
            if name == "format_map" {
                let given = try arguments.bind(name, ["mapping"], required: 1)[0]!
                guard case .mapping(let mapping) = given else { throw Fault("'format_map' needs a mapping") }
                arguments = Arguments()
                for (key, value) in zip(mapping.keys, mapping.values) {
                    if let key = key.text { arguments.keywords.append((key.string, value)) }
                }
            }
            return .text(try Formatting.braces(text, arguments, interpreter))
        case "split", "rsplit": return try split(name, text, arguments, interpreter)
        case "splitlines":
            let keeps = try arguments.bind(name, ["keepends"])[0]?.isTrue ?? false
            return .list(text.lines(keepingEnds: keeps).map { .text($0) })
        case "encode", "maketrans", "translate":
            throw Fault("'\(name)' of texts is not supported", .unsupported)
        default: break
        }
        guard arguments.keywords.isEmpty else { throw Fault("'\(name)' has no named arguments") }
        if let value = try change(name, text, arguments, interpreter) { return value }
        if let holds = try property(name, text, arguments) { return .bool(holds) }
        return try search(name, text, arguments, interpreter)
    }

    private static func split(
        _ name: String, _ text: Text, _ arguments: Arguments, _ interpreter: Interpreter
    ) throws -> Value {
        let bound = try arguments.bind(name, ["sep", "maxsplit"])
        let limit = try Filters.integer(bound[1], "maxsplit", default: -1)
        try interpreter.spend(text.bytes.count >> 3)
        let parts: [Text]
        if let separator = bound[0], !separator.isNone {
            let separator = try Filters.text(separator, "sep", default: .empty)
            guard !separator.isEmpty else { throw Fault("'\(name)' needs a separator that is not empty") }
            parts =
                name == "split"
                ? text.split(at: separator, limit: limit) : text.splitFromRight(at: separator, limit: limit)
        } else {
            parts = text.splitAtSpace(limit: limit, fromRight: name == "rsplit")
        }
        return .list(parts.map { .text($0) })
    }

    /// Methods whose result is a text; nil: it is none of them.
    private static func change(
        _ name: String, _ text: Text, _ arguments: Arguments, _ interpreter: Interpreter
    ) throws -> Value? {
        func none() throws { _ = try arguments.bind(name, []) }
        switch name {
        case "upper": try none(); return .text(text.uppercased)
        case "lower": try none(); return .text(text.lowercased)
        case "capitalize": try none(); return .text(text.capitalized)
        case "title": try none(); return .text(text.titled)
        case "swapcase": try none(); return .text(text.caseSwapped)
        case "casefold": try none(); return .text(text.caseFolded)
        case "strip", "lstrip", "rstrip":
            let given = try arguments.bind(name, ["chars"])[0].flatMap { $0.isNone ? nil : $0 }
            let characters = try given.map { try Filters.text($0, "chars", default: .empty) }
            return .text(text.stripped(left: name != "rstrip", right: name != "lstrip", characters: characters))
        case "removeprefix", "removesuffix":
            let part = try Filters.text(try arguments.bind(name, ["part"], required: 1)[0], "part", default: .empty)
            if name == "removeprefix", text.hasPrefix(part) {
                return .text(Text(text.bytes[part.bytes.count...], isMarkup: text.isMarkup))
            }
            if name == "removesuffix", text.hasSuffix(part) {
                return .text(Text(text.bytes[..<(text.bytes.count - part.bytes.count)], isMarkup: text.isMarkup))
            }
            return .text(text)
        case "replace":
            let bound = try arguments.bind(name, ["old", "new", "count"], required: 2)
            let old = try Filters.text(bound[0], "old", default: .empty)
            let new = try Filters.text(bound[1], "new", default: .empty)
            let count = try Filters.integer(bound[2], "count", default: -1)
            return .text(try replace(text, old, text.isMarkup ? new.escaped : new, count: count, interpreter))
        case "center", "ljust", "rjust":
            let bound = try arguments.bind(name, ["width", "fillchar"], required: 1)
            let width = try Filters.integer(bound[0], "width", default: 0)
            let fill = try Filters.text(bound[1], "fillchar", default: " ")
            guard fill.count == 1 else { throw Fault("'\(name)' fills with one character") }
            let side: Side = name == "center" ? .center : name == "ljust" ? .left : .right
            return .text(try padded(text, to: width, with: fill, side, interpreter))
        case "zfill":
            let width = try Filters.integer(try arguments.bind(name, ["width"], required: 1)[0], "width", default: 0)
            let isSigned = text.bytes.first == 0x2B || text.bytes.first == 0x2D
            guard isSigned else { return .text(try padded(text, to: width, with: "0", .right, interpreter)) }
            let digits = try padded(text.slice(1..<text.count), to: width - 1, with: "0", .right, interpreter)
            return .text(text.slice(0..<1) + digits)
        case "expandtabs": return .text(try expandTabs(text, arguments, interpreter))
        case "join":
            let parts = try arguments.bind(name, ["iterable"], required: 1)[0]!.elements().map { value -> Text in
                guard let part = value.text else {
                    throw Fault("'join' joins texts, not a value of type '\(value.typeName)'")
                }
                return text.isMarkup ? part.escaped : part
            }
            return try join(text, parts, interpreter)
        default: return nil
        }
    }

    private static func expandTabs(_ text: Text, _ arguments: Arguments, _ interpreter: Interpreter) throws -> Text {
        let width = try Filters.integer(try arguments.bind("expandtabs", ["tabsize"])[0], "tabsize", default: 8)
        guard width <= 1024 else { throw Fault("'expandtabs' of \(width) columns", .limit) }
        try interpreter.checkSize(text.bytes.count + text.bytes.count { $0 == 0x09 } * max(width, 0))
        var column = 0
        var result: [UInt8] = []
        for scalar in text.scalars {
            if scalar == "\t" {
                let spaces = width > 0 ? width - column % width : 0
                result += Array(repeating: 0x20, count: spaces)
                column += spaces
            } else {
                result.append(contentsOf: UTF8.encode(scalar)!)
                column = scalar == "\n" || scalar == "\r" ? 0 : column + 1
            }
        }
        return Text(bytes: result, isMarkup: text.isMarkup)
    }

    private static func property(_ name: String, _ text: Text, _ arguments: Arguments) throws -> Bool? {
        guard name.hasPrefix("is") else { return nil }
        _ = try arguments.bind(name, [])
        func all(_ holds: (Unicode.Scalar) -> Bool) -> Bool { !text.isEmpty && text.scalars.allSatisfy(holds) }
        switch name {
        case "isspace": return all(\.isPythonSpace)
        case "isalpha": return all(\.isAlphabetic)
        case "isalnum": return all(\.isAlphanumeric)
        case "isdecimal": return all { $0.properties.generalCategory == .decimalNumber }
        case "isdigit": return all { [.decimal, .digit].contains($0.properties.numericType) }
        case "isnumeric": return all { $0.properties.numericType != nil }
        case "isascii": return text.isASCII
        case "islower": return text.isLowercase
        case "isupper": return text.isUppercase
        case "istitle": return text.isTitled
        case "isprintable": return text.scalars.allSatisfy(\.isPrintable)
        default:
            guard let first = text.scalars.first, first == "_" || first.properties.isXIDStart else { return false }
            return text.scalars.allSatisfy(\.properties.isXIDContinue)
        }
    }

    // MARK: Searching

    private static func search(
        _ name: String, _ text: Text, _ arguments: Arguments, _ interpreter: Interpreter
    ) throws -> Value {
        if name == "partition" || name == "rpartition" { return try partition(name, text, arguments) }
        let bound = try arguments.bind(name, ["sub", "start", "end"], required: 1)
        func place(_ value: Value?, _ otherwise: Int) throws -> Int {
            guard let value, !value.isNone else { return otherwise }
            let given = try Filters.integer(value, "start", default: otherwise)
            return max(0, given < 0 ? given + text.count : given)
        }
        let start = try place(bound[1], 0), end = min(try place(bound[2], text.count), text.count)
        let isWithin = start <= end && start <= text.count
        let low = isWithin ? text.offset(of: start) : 0, high = isWithin ? text.offset(of: end) : 0
        if name == "startswith" || name == "endswith" {
            let parts: [Value]
            if case .tuple(let items) = bound[0]! { parts = items } else { parts = [bound[0]!] }
            let part = Text(text.bytes[low..<high])
            return .bool(
                try isWithin
                    && parts.contains {
                        let affix = try Filters.text($0, "prefix", default: .empty)
                        return name == "startswith" ? part.hasPrefix(affix) : part.hasSuffix(affix)
                    })
        }
        let needle = try Filters.text(bound[0], "sub", default: .empty)
        if name == "count" {
            guard isWithin else { return .integer(0) }
            if needle.isEmpty { return .integer(end - start + 1) }
            return .integer(Text(text.bytes[low..<high]).split(at: needle, limit: -1).count - 1)
        }
        let found =
            !isWithin
            ? nil
            : name.hasPrefix("r")
                ? text.lastOffset(of: needle, from: low, to: high) : text.firstOffset(of: needle, from: low, to: high)
        guard let found else {
            guard name.hasSuffix("find") else { throw Fault("'\(name)' does not find '\(needle)'") }
            return .integer(-1)
        }
        return .integer(text.index(ofByte: found))
    }

    private static func partition(_ name: String, _ text: Text, _ arguments: Arguments) throws -> Value {
        let separator = try Filters.text(try arguments.bind(name, ["sep"], required: 1)[0], "sep", default: .empty)
        guard !separator.isEmpty else { throw Fault("'\(name)' needs a separator that is not empty") }
        let parts =
            name == "partition"
            ? text.split(at: separator, limit: 1) : text.splitFromRight(at: separator, limit: 1)
        let empty = Value.text(Text.empty.marked(text.isMarkup))
        if parts.count == 2 {
            return .tuple([.text(parts[0]), .text(separator.marked(text.isMarkup)), .text(parts[1])])
        }
        return .tuple(name == "partition" ? [.text(text), empty, empty] : [empty, empty, .text(text)])
    }

    // MARK: What filters share

    enum Side { case left, right, center }

    static func padded(
        _ text: Text, to width: Int, with fill: Text, _ side: Side, _ interpreter: Interpreter
    ) throws -> Text {
        guard width > text.count else { return text }
        let missing = width - text.count
        try interpreter.checkSize(text.bytes.count + (missing > 1 << 40 ? 1 << 40 : missing) * fill.bytes.count)
        // Python puts the odd one to the left where the width is odd.
        let before = side == .left ? 0 : side == .right ? missing : missing / 2 + (missing & width & 1)
        func filling(_ count: Int) -> [UInt8] { [[UInt8]](repeating: fill.bytes, count: count).flatMap { $0 } }
        return Text(bytes: filling(before) + text.bytes + filling(missing - before), isMarkup: text.isMarkup)
    }

    static func replace(_ text: Text, _ old: Text, _ new: Text, count: Int, _ interpreter: Interpreter) throws -> Text {
        if new.bytes.count > old.bytes.count {
            let places = old.isEmpty ? text.count + 1 : text.bytes.count / old.bytes.count
            let most = count < 0 ? places : min(places, count)
            let (growth, overflows) = most.multipliedReportingOverflow(by: new.bytes.count)
            // The estimate is far above what most texts become, so only what may be too long is counted.
            if overflows || growth > interpreter.limits.textBytes {
                let found = old.isEmpty ? most : min(most, text.split(at: old, limit: -1).count - 1)
                let (size, overflows) = found.multipliedReportingOverflow(by: new.bytes.count)
                try interpreter.checkSize(overflows ? .max : size)
            }
        }
        let result = text.replacing(old, with: new, count: count)
        try interpreter.checkSize(result.bytes.count)
        return result
    }

    static func join(_ separator: Text, _ parts: [Text], _ interpreter: Interpreter) throws -> Value {
        var size = 0
        for part in parts { size += part.bytes.count + separator.bytes.count }
        try interpreter.checkSize(size)
        return .text(
            Text(bytes: Array(parts.map(\.bytes).joined(separator: separator.bytes)), isMarkup: separator.isMarkup))
    }
}

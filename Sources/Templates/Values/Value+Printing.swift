import Wording

extension Value {
    /// Python's `str()`.
    func printed() throws -> Text {
        switch self {
        case .text(let text): return text.marked(false)
        case .undefined: return .empty
        case .integer(let value): return Text(String(value))
        case .joiner: throw Fault("a value of type '\(typeName)' has no text of its own")
        default:
            var bytes: [UInt8] = []
            try represent(into: &bytes, 0)
            return Text(bytes: bytes)
        }
    }

    /// Jinja's `soft_str`: like ``printed()``, but a text keeps its mark.
    func softText() throws -> Text {
        if case .text(let text) = self { return text }
        return try printed()
    }

    /// Python's `repr()`.
    func represented() throws -> Text {
        var bytes: [UInt8] = []
        try represent(into: &bytes, 0)
        return Text(bytes: bytes)
    }

    fileprivate func represent(into bytes: inout [UInt8], _ depth: Int) throws {
        guard depth < Self.maximumDepth else { throw Fault("values nest too deep to be printed", .limit) }
        guard bytes.count <= TemplateLimits().textBytes else { throw Fault("a printed value is too long", .limit) }
        func add(_ text: String) { bytes += Array(text.utf8) }
        func add(_ values: [Value]) throws {
            for (index, value) in values.enumerated() {
                if index > 0 { add(", ") }
                try value.represent(into: &bytes, depth + 1)
            }
        }
        switch self {
        case .undefined: add("Undefined")
        case .none: add("None")
        case .bool(let value): add(value ? "True" : "False")
        case .integer(let value): add(String(value))
        case .double(let value): add(PythonNumber.representation(of: value))
        case .text(let text):
            if text.isMarkup { add("Markup(") }
            text.represent(into: &bytes)
            if text.isMarkup { add(")") }
        case .list(let values):
            add("[")
            try add(values)
            add("]")
        case .tuple(let values):
            add("(")
            try add(values)
            add(values.count == 1 ? ",)" : ")")
        case .mapping(let mapping): try mapping.represent(into: &bytes, depth)
        case .range(let range):
            add("range(\(range.start), \(range.stop)" + (range.step == 1 ? ")" : ", \(range.step))"))
        case .view(let view):
            add("\(typeName)([")
            try add(view.values)
            add("])")
        case .namespace(let namespace):
            add("<Namespace ")
            try namespace.attributes.represent(into: &bytes, depth)
            add(">")
        case .loop(let loop): add("<LoopContext \(loop.index + 1)/\(loop.count)>")
        case .macro(let macro): add(macro.name.map { "<Macro '\($0)'>" } ?? "<Macro anonymous>")
        case .iterator, .function, .method, .cycler, .joiner:
            throw Fault("a value of type '\(typeName)' has no text of its own")
        }
    }
}

extension Mapping {
    fileprivate func represent(into bytes: inout [UInt8], _ depth: Int) throws {
        bytes.append(UInt8(ascii: "{"))
        for (index, (key, value)) in zip(keys, values).enumerated() {
            if index > 0 { bytes += [UInt8(ascii: ","), UInt8(ascii: " ")] }
            try key.represent(into: &bytes, depth + 1)
            bytes += [UInt8(ascii: ":"), UInt8(ascii: " ")]
            try value.represent(into: &bytes, depth + 1)
        }
        bytes.append(UInt8(ascii: "}"))
    }
}

extension Text {
    /// The text in Python's quotes.
    func represent(into result: inout [UInt8]) {
        let single = UInt8(ascii: "'"), double = UInt8(ascii: "\"")
        let quote = bytes.contains(single) && !bytes.contains(double) ? double : single
        result.append(quote)
        for scalar in scalars {
            switch scalar {
            case "\\": result += Array("\\\\".utf8)
            case "\n": result += Array("\\n".utf8)
            case "\r": result += Array("\\r".utf8)
            case "\t": result += Array("\\t".utf8)
            case _ where scalar.value == UInt32(quote): result += [UInt8(ascii: "\\"), quote]
            case _ where scalar.isPrintable: result.append(contentsOf: UTF8.encode(scalar)!)
            default: result += scalar.pythonEscape
            }
        }
        result.append(quote)
    }

    /// The text with escapes for all that is not ASCII, as Python's `ascii()` has it of a represented value.
    var escapedBeyondASCII: Text {
        guard !isASCII else { return self }
        return Text(bytes: scalars.flatMap { $0.isASCII ? [UInt8($0.value)] : $0.pythonEscape }, isMarkup: isMarkup)
    }
}

extension Unicode.Scalar {
    /// `\x7f`, `\u200b` or `\U0001f600`.
    var pythonEscape: [UInt8] {
        let (mark, width) = value > 0xFFFF ? ("U", 8) : value > 0xFF ? ("u", 4) : ("x", 2)
        return Array("\\\(mark)\(value.padded(to: width, radix: 16))".utf8)
    }

    /// Python's `str.isprintable` of a code point.
    var isPrintable: Bool {
        if value < 0x7F { return value >= 0x20 }
        return switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            false
        default: true
        }
    }
}

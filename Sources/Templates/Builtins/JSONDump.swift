import Wording

/// The filter `tojson` as transformers has it: Python's `json.dumps`, which leaves letters beyond ASCII and HTML's signs
/// as they are.
enum JSONDump {
    static func text(of value: Value, _ arguments: Arguments, _ interpreter: Interpreter) throws -> Text {
        let bound = try arguments.bind("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])
        var writer = Writer(interpreter: interpreter)
        writer.isASCII = bound[0]?.isTrue ?? false
        writer.sortsKeys = bound[3]?.isTrue ?? false
        if let indent = bound[1], !indent.isNone {
            if let text = indent.text {
                writer.indent = text.bytes
            } else {
                let width = try Filters.integer(indent, "indent", default: 0)
                guard width <= 1 << 10 else { throw Fault("'indent' of \(width) spaces", .limit) }
                writer.indent = Array(repeating: 0x20, count: max(width, 0))
            }
            writer.itemSeparator = [UInt8(ascii: ",")]
        }
        if let separators = bound[2], !separators.isNone {
            let pair = try separators.elements()
            guard pair.count == 2, let item = pair[0].text, let key = pair[1].text else {
                throw Fault("'separators' are two texts")
            }
            (writer.itemSeparator, writer.keySeparator) = (item.bytes, key.bytes)
        }
        try writer.write(value, 0)
        return Text(bytes: writer.bytes)
    }

    private struct Writer {
        let interpreter: Interpreter
        var bytes: [UInt8] = []
        var isASCII = false
        var sortsKeys = false
        var indent: [UInt8]?
        var itemSeparator = Array(", ".utf8)
        var keySeparator = Array(": ".utf8)

        init(interpreter: Interpreter) { self.interpreter = interpreter }

        mutating func add(_ text: String) { bytes += Array(text.utf8) }

        mutating func newline(_ depth: Int) throws {
            guard let indent else { return }
            bytes.append(0x0A)
            try interpreter.checkSize(bytes.count + indent.count * depth)
            for _ in 0..<depth { bytes += indent }
        }

        mutating func write(_ value: Value, _ depth: Int) throws {
            guard depth < Value.maximumDepth else { throw Fault("a value nests too deep for 'tojson'", .limit) }
            try interpreter.spend(1)
            switch value {
            case .none: add("null")
            case .bool(let flag): add(flag ? "true" : "false")
            case .integer(let number): add(String(number))
            case .double(let number): add(Self.number(number))
            case .text(let text): try write(text)
            case .list(let items), .tuple(let items):
                guard !items.isEmpty else { return add("[]") }
                add("[")
                for (index, item) in items.enumerated() {
                    if index > 0 { bytes += itemSeparator }
                    try newline(depth + 1)
                    try write(item, depth + 1)
                }
                try newline(depth)
                add("]")
            case .mapping(let mapping): try write(mapping, depth)
            case .undefined(let undefined): throw Fault("'tojson' of an undefined value: \(undefined.reason)")
            default: throw Fault("'tojson' does not take a value of type '\(value.typeName)'")
            }
        }

        private static func number(_ number: Double) -> String {
            number.isNaN
                ? "NaN"
                : number.isInfinite ? (number < 0 ? "-Infinity" : "Infinity") : PythonNumber.representation(of: number)
        }

        private mutating func write(_ mapping: Mapping, _ depth: Int) throws {
            guard mapping.count > 0 else { return add("{}") }
            add("{")
            var places = Array(mapping.keys.indices)
            if sortsKeys {
                places = try places.sorted { try mapping.keys[$0].isLess(than: mapping.keys[$1], interpreter) }
            }
            for (index, place) in places.enumerated() {
                if index > 0 { bytes += itemSeparator }
                try newline(depth + 1)
                switch mapping.keys[place] {
                case .text(let text): try write(text)
                case .none: add("\"null\"")
                case .bool(let flag): add(flag ? "\"true\"" : "\"false\"")
                case .integer(let number): add("\"\(number)\"")
                case .double(let number): add("\"\(Self.number(number))\"")
                case let key: throw Fault("'tojson' has no key of type '\(key.typeName)'")
                }
                bytes += keySeparator
                try write(mapping.values[place], depth + 1)
            }
            try newline(depth)
            add("}")
        }

        private mutating func write(_ text: Text) throws {
            try interpreter.checkSize(text.bytes.count)
            bytes.append(UInt8(ascii: "\""))
            for scalar in text.scalars {
                switch scalar {
                case "\"": add("\\\"")
                case "\\": add("\\\\")
                case "\n": add("\\n")
                case "\r": add("\\r")
                case "\t": add("\\t")
                case "\u{8}": add("\\b")
                case "\u{C}": add("\\f")
                case _ where scalar.value < 0x20 || isASCII && scalar.value > 0x7E:
                    for unit in String(scalar).utf16 { add("\\u" + unit.padded(to: 4, radix: 16)) }
                default: bytes.append(contentsOf: UTF8.encode(scalar)!)
                }
            }
            bytes.append(UInt8(ascii: "\""))
            try interpreter.checkSize(bytes.count >> 8)
        }
    }
}

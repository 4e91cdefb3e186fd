/// Python's two ways to put values into a text: `%` and `format`.
enum Formatting {
    // MARK: %

    /// `text % operand`.
    static func percent(_ text: Text, _ operand: Value, _ interpreter: Interpreter) throws -> Text {
        guard !text.isMarkup else { throw Fault("'%' of markup is not supported", .unsupported) }
        var result: [UInt8] = []
        var next = 0
        var usesNames = false
        let bytes = text.bytes
        var position = 0
        func take() throws -> Value {
            if case .tuple(let items) = operand {
                guard next < items.count else { throw Fault("'%' has fewer values than the text has places") }
                defer { next += 1 }
                return items[next]
            }
            guard next == 0 else { throw Fault("'%' has fewer values than the text has places") }
            next = 1
            return operand
        }
        while position < bytes.count {
            guard bytes[position] == UInt8(ascii: "%") else {
                result.append(bytes[position])
                position += 1
                continue
            }
            var spec = PercentSpec(bytes, position + 1)
            var named: Value?
            if let name = try spec.name() {
                guard case .mapping(let mapping) = operand else { throw Fault("'%' needs a mapping for names") }
                guard let value = mapping[name] else { throw Fault("'%' has no value named '\(name)'") }
                named = value
                usesNames = true
            }
            let start = spec.position
            try spec.read {
                guard let integer = try take().integer else { throw Fault("'*' in a text needs an integer") }
                return integer
            }
            position = spec.position
            if spec.kind == "%" {
                // With a width or a name before it Python takes it for a kind that it does not know.
                guard start == position - 1, named == nil else { throw Fault("'%' in a text has no form") }
                result.append(UInt8(ascii: "%"))
                continue
            }
            result += try spec.apply(to: try named ?? take(), interpreter).bytes
            try interpreter.checkSize(result.count)
        }
        if case .tuple(let items) = operand, next < items.count, !usesNames {
            throw Fault("'%' has more values than the text has places")
        }
        switch operand {
        case .tuple, .mapping, .list, .range, .undefined: break
        default: guard next == 1 || usesNames else { throw Fault("'%' has more values than the text has places") }
        }
        return Text(bytes: result)
    }

    /// One place of a text that is formatted with `%`.
    private struct PercentSpec {
        let bytes: [UInt8]
        var position: Int
        var spec = FormatSpec()
        var kind: Character = "s"

        init(_ bytes: [UInt8], _ position: Int) {
            self.bytes = bytes
            self.position = position
            spec.alignment = ">"
        }

        mutating func name() throws -> Text? {
            guard position < bytes.count, bytes[position] == UInt8(ascii: "(") else { return nil }
            guard let end = bytes[position...].firstIndex(of: UInt8(ascii: ")")) else {
                throw Fault("a name in a text with '%' has no ')'")
            }
            defer { position = end + 1 }
            return Text(bytes[(position + 1)..<end])
        }

        private mutating func number(_ star: () throws -> Int) throws -> Int? {
            if position < bytes.count, bytes[position] == UInt8(ascii: "*") {
                position += 1
                return try star()
            }
            var value: Int?
            while position < bytes.count, (0x30...0x39).contains(bytes[position]) {
                value = min((value ?? 0) * 10 + Int(bytes[position] - 0x30), 1 << 30)
                position += 1
            }
            return value
        }

        mutating func read(_ star: () throws -> Int) throws {
            var isLeft = false
            flags: while position < bytes.count {
                switch bytes[position] {
                case UInt8(ascii: "-"): isLeft = true
                case UInt8(ascii: "+"): spec.sign = "+"
                case UInt8(ascii: " "): if spec.sign != "+" { spec.sign = " " }
                case UInt8(ascii: "#"): spec.isAlternate = true
                case UInt8(ascii: "0"): spec.padsWithZeros = true
                default: break flags
                }
                position += 1
            }
            if let width = try number(star) {
                if width < 0 { isLeft = true }
                spec.width = Int(width.magnitude)
            }
            if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
                position += 1
                spec.precision = max(0, try number(star) ?? 0)
            }
            while position < bytes.count, "hlL".utf8.contains(bytes[position]) { position += 1 }
            guard position < bytes.count else { throw Fault("a text with '%' ends within a place") }
            kind = Character(Unicode.Scalar(bytes[position]))
            position += 1
            if isLeft {
                spec.alignment = "<"
                spec.padsWithZeros = false
            }
        }

        private func shown(_ value: Value) throws -> Text {
            let text = try value.represented()
            return kind == "a" ? text.escapedBeyondASCII : text
        }

        func apply(to value: Value, _ interpreter: Interpreter) throws -> Text {
            var spec = spec
            switch kind {
            case "s", "r", "a":
                spec.padsWithZeros = false
                return try spec.text(kind == "s" ? value.printed() : shown(value), interpreter)
            case "c":
                if let integer = value.integer, let scalar = UInt32(exactly: integer).flatMap({ Unicode.Scalar($0) }) {
                    return try spec.text(Text(scalars: [scalar]), interpreter)
                }
                guard let text = value.text, text.count == 1 else { throw Fault("'%c' needs one character") }
                return try spec.text(text, interpreter)
            case "d", "i", "u":
                guard value.double != nil else { throw Fault("'%\(kind)' needs a number, not '\(value.typeName)'") }
                guard let integer = value.integer ?? value.double.flatMap({ Int(exactly: $0.rounded(.towardZero)) })
                else { throw Fault("'%\(kind)' of a number beyond 64 bits", .unsupported) }
                return try spec.integer(integer, "d", leastDigits: spec.precision ?? 0, interpreter)
            case "x", "X", "o":
                guard let integer = value.integer else { throw Fault("'%\(kind)' needs an integer") }
                return try spec.integer(integer, kind, leastDigits: spec.precision ?? 0, interpreter)
            case "f", "F", "e", "E", "g", "G":
                guard let number = value.double else {
                    throw Fault("'%\(kind)' needs a number, not '\(value.typeName)'")
                }
                return try spec.double(number, kind, interpreter)
            default: throw Fault("'%\(kind)' is no place for a value")
            }
        }
    }

    // MARK: format

    /// `text.format(...)`.
    static func braces(_ text: Text, _ arguments: Arguments, _ interpreter: Interpreter) throws -> Text {
        var formatter = BraceFormatter(arguments: arguments, interpreter: interpreter)
        return try formatter.format(Array(text.scalars)[...], depth: 2)
    }

    private struct BraceFormatter {
        let arguments: Arguments
        let interpreter: Interpreter
        private var nextPlace = 0
        private var isNumbered: Bool?

        init(arguments: Arguments, interpreter: Interpreter) {
            self.arguments = arguments
            self.interpreter = interpreter
        }

        mutating func format(_ scalars: ArraySlice<Unicode.Scalar>, depth: Int) throws -> Text {
            guard depth > 0 else { throw Fault("places in a text nest too deep for 'format'") }
            var result: [UInt8] = []
            var rest = scalars
            while let scalar = rest.popFirst() {
                switch scalar {
                case "{":
                    if rest.first == "{" {
                        rest.removeFirst()
                        result.append(UInt8(ascii: "{"))
                        continue
                    }
                    var level = 1
                    guard
                        let end = rest.indices.first(where: {
                            level += rest[$0] == "{" ? 1 : rest[$0] == "}" ? -1 : 0
                            return level == 0
                        })
                    else { throw Fault("'{' in a text for 'format' has no '}'") }
                    result += try place(rest[..<end], depth: depth).bytes
                    try interpreter.checkSize(result.count)
                    rest = rest[(end + 1)...]
                case "}":
                    guard rest.first == "}" else { throw Fault("'}' in a text for 'format' stands alone") }
                    rest.removeFirst()
                    result.append(UInt8(ascii: "}"))
                default: result.append(contentsOf: UTF8.encode(scalar)!)
                }
            }
            return Text(bytes: result)
        }

        private mutating func place(_ scalars: ArraySlice<Unicode.Scalar>, depth: Int) throws -> Text {
            let nameEnd = scalars.firstIndex { $0 == "!" || $0 == ":" } ?? scalars.endIndex
            var value = try field(scalars[..<nameEnd])
            var rest = scalars[nameEnd...]
            if rest.first == "!" {
                rest.removeFirst()
                guard let conversion = rest.popFirst(), rest.isEmpty || rest.first == ":" else {
                    throw Fault("'!' in a text for 'format' needs r, s or a")
                }
                switch conversion {
                case "r": value = .text(try value.represented())
                case "s": value = .text(try value.printed())
                case "a": value = .text(try value.represented().escapedBeyondASCII)
                default: throw Fault("the conversion '!\(conversion)' is not supported", .unsupported)
                }
            }
            if rest.first == ":" { rest.removeFirst() }
            let spec = try format(rest, depth: depth - 1)
            return try FormatSpec(spec).apply(to: value, interpreter)
        }

        /// `0.name[key]`
        private mutating func field(_ scalars: ArraySlice<Unicode.Scalar>) throws -> Value {
            let end = scalars.firstIndex { $0 == "." || $0 == "[" } ?? scalars.endIndex
            let first = String(String.UnicodeScalarView(scalars[..<end]))
            var value: Value
            if first.isEmpty || first.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
                guard isNumbered ?? first.isEmpty == first.isEmpty else {
                    throw Fault("places of 'format' are either all numbered or none")
                }
                isNumbered = first.isEmpty
                let place = first.isEmpty ? nextPlace : Int(first) ?? .max
                if first.isEmpty { nextPlace += 1 }
                guard place < arguments.positional.count else { throw Fault("'format' has no value \(place)") }
                value = arguments.positional[place]
            } else {
                guard let named = arguments.keywords.first(where: { $0.name == first }) else {
                    throw Fault("'format' has no value named '\(first)'")
                }
                value = named.value
            }
            var rest = scalars[end...]
            while let sign = rest.popFirst() {
                if sign == "." {
                    let end = rest.firstIndex { $0 == "." || $0 == "[" } ?? rest.endIndex
                    value = try interpreter.attribute(Text(scalars: rest[..<end]), of: value)
                    rest = rest[end...]
                } else {
                    guard let end = rest.firstIndex(of: "]") else {
                        throw Fault("'[' in a text for 'format' has no ']'")
                    }
                    let key = Text(scalars: rest[..<end])
                    let isIndex = !key.isEmpty && key.bytes.allSatisfy { (0x30...0x39).contains($0) }
                    value = try interpreter.item(
                        isIndex ? Int(key.string).map { .integer($0) } ?? .text(key) : .text(key), of: value)
                    rest = rest[(end + 1)...]
                }
            }
            return value
        }
    }
}

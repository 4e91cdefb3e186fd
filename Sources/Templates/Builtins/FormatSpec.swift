/// How one value is put into a text: Python's format specification,
/// `[[fill]align][sign][#][0][width][,][.precision][type]`.
struct FormatSpec {
    var fill: Text = " "
    /// `<`, `>`, `^` or `=`; nil: by the kind of value.
    var alignment: Character?
    /// `+`, `-` or a space; nil: `-`, which texts do not take where it is written.
    var sign: Character?
    var isAlternate = false
    var padsWithZeros = false
    var width = 0
    var grouping: Character?
    var precision: Int?
    var type: Character?

    init() {}

    init(_ text: Text) throws {
        let scalars = Array(text.scalars)
        var position = 0
        func has(_ characters: String) -> Bool {
            position < scalars.count && characters.unicodeScalars.contains(scalars[position])
        }
        func take() -> Character {
            position += 1
            return Character(scalars[position - 1])
        }
        func number() -> Int? {
            var value: Int?
            while has("0123456789") {
                value = min((value ?? 0) * 10 + Int(scalars[position].value - 48), 1 << 30); position += 1
            }
            return value
        }
        if scalars.count > 1, "<>^=".unicodeScalars.contains(scalars[1]) {
            fill = Text(scalars: [scalars[0]])
            alignment = Character(scalars[1])
            position = 2
        } else if has("<>^=") {
            alignment = take()
        }
        if has("+- ") { sign = take() }
        if has("#") {
            isAlternate = true
            position += 1
        }
        if has("0") {
            padsWithZeros = true
            position += 1
        }
        width = number() ?? 0
        if has(",_") { grouping = take() }
        if has(".") {
            position += 1
            guard let digits = number() else { throw Fault("a format has '.' without digits") }
            precision = digits
        }
        if position < scalars.count { type = take() }
        guard position == scalars.count else { throw Fault("the format '\(text)' is not valid") }
    }

    func apply(to value: Value, _ interpreter: Interpreter) throws -> Text {
        switch value {
        case .text(let text): return try formatted(text.marked(false), interpreter)
        case .bool where isPlain && type == nil: return try value.printed()
        case .integer, .bool:
            let number = value.integer!
            if type.map({ "dnxXobc".contains($0) }) ?? true, precision != nil {
                throw Fault("a format of an integer has no precision")
            }
            if type.map({ "nxXob".contains($0) }) ?? false, grouping == "," || type == "n" && grouping != nil {
                throw Fault("the format '\(type!)' has no groups of this kind")
            }
            switch type {
            case nil, "d", "n": return try integer(number, "d", leastDigits: 0, interpreter)
            case "x", "X", "o", "b": return try integer(number, type!, leastDigits: 0, interpreter)
            case "c":
                guard let scalar = UInt32(exactly: number).flatMap({ Unicode.Scalar($0) }) else {
                    throw Fault("\(number) is no code point")
                }
                return try text(Text(scalars: [scalar]), interpreter)
            default: return try double(Double(number), type!, interpreter)
            }
        case .double(let number):
            guard let type else {
                if precision == nil { return try numeric(PythonNumber.representation(of: number), interpreter) }
                throw Fault("a format of a float with a precision needs a type", .unsupported)
            }
            return try double(number, type, interpreter)
        default:
            guard isPlain, type == nil else {
                throw Fault("a value of type '\(value.typeName)' takes no format")
            }
            return try value.printed()
        }
    }

    private var isPlain: Bool {
        alignment == nil && sign == nil && !isAlternate && !padsWithZeros && width == 0 && grouping == nil
            && precision == nil
    }

    private func formatted(_ text: Text, _ interpreter: Interpreter) throws -> Text {
        guard type == nil || type == "s" else { throw Fault("the format '\(type!)' is not for texts") }
        guard sign == nil, !isAlternate, grouping == nil, alignment != "=" else {
            throw Fault("a sign or a group in a format is not for texts")
        }
        var spec = self
        if padsWithZeros, alignment == nil { spec.fill = "0" }
        return try spec.text(text, interpreter, side: "<")
    }

    /// - Parameter side: where the text stands when the format does not say so.
    func text(_ text: Text, _ interpreter: Interpreter, side: Character = "<") throws -> Text {
        let kept = precision.map { text.slice(0..<min($0, text.count)) } ?? text
        return try pad(kept, alignment ?? side, interpreter)
    }

    private func pad(_ text: Text, _ alignment: Character, _ interpreter: Interpreter) throws -> Text {
        guard width > text.count else { return text }
        let missing = width - text.count
        try interpreter.checkSize(text.bytes.count + missing * fill.bytes.count)
        let before = alignment == "<" ? 0 : alignment == "^" ? missing / 2 : missing
        func filling(_ count: Int) -> [UInt8] { [[UInt8]](repeating: fill.bytes, count: count).flatMap { $0 } }
        return Text(bytes: filling(before) + text.bytes + filling(missing - before))
    }

    func integer(_ value: Int, _ type: Character, leastDigits: Int, _ interpreter: Interpreter) throws -> Text {
        guard leastDigits <= 1 << 16 else { throw Fault("a format of \(leastDigits) digits", .limit) }
        let radix = type == "x" || type == "X" ? 16 : type == "o" ? 8 : type == "b" ? 2 : 10
        var digits = String(value.magnitude, radix: radix, uppercase: type == "X")
        digits = String(repeating: "0", count: max(0, leastDigits - digits.utf8.count)) + digits
        let prefix = isAlternate && radix != 10 ? "0\(type)" : ""
        return try numeric((value < 0 ? "-" : "") + prefix + digits, interpreter)
    }

    func double(_ value: Double, _ type: Character, _ interpreter: Interpreter) throws -> Text {
        guard "fFeEgG%".contains(type) else { throw Fault("the format '\(type)' is not for numbers") }
        let digits = precision ?? 6
        guard digits <= 1000 else { throw Fault("a format of \(digits) digits", .limit) }
        if type == "%" {
            return try numeric(PythonNumber.formatted(value * 100, precision: digits, style: "f") + "%", interpreter)
        }
        return try numeric(
            PythonNumber.formatted(value, precision: digits, style: type, alternate: isAlternate), interpreter)
    }

    /// Sign, groups and padding of a number that is written already.
    private func numeric(_ written: String, _ interpreter: Interpreter) throws -> Text {
        var digits = written
        var mark = ""
        if digits.hasPrefix("-") {
            mark = "-"
            digits.removeFirst()
        } else if let sign, sign != "-" {
            mark = String(sign)
        }
        for prefix in ["0x", "0X", "0o", "0b"] where digits.hasPrefix(prefix) {
            mark += prefix
            digits.removeFirst(2)
        }
        if let grouping { digits = Self.grouped(digits, grouping) }
        let isInner = alignment == "=" || padsWithZeros && (alignment == nil || alignment == ">" && fill == " ")
        guard isInner else { return try pad(Text(mark + digits), alignment ?? ">", interpreter) }
        guard grouping == nil || !padsWithZeros else {
            throw Fault("groups and zeros in one format are not supported", .unsupported)
        }
        var spec = self
        spec.width = width - mark.utf8.count
        if padsWithZeros { spec.fill = "0" }
        return Text(mark) + (try spec.pad(Text(digits), ">", interpreter))
    }

    private static func grouped(_ digits: String, _ sign: Character) -> String {
        let whole = digits.prefix { $0.isNumber }
        var result = ""
        for (index, digit) in whole.enumerated() {
            if index > 0, (whole.count - index) % 3 == 0 { result.append(sign) }
            result.append(digit)
        }
        return result + digits.dropFirst(whole.count)
    }
}

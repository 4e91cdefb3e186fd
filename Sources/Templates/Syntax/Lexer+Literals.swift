extension Lexer {
    // MARK: Numbers

    private func digits(from offset: Int, _ isDigit: (UInt8) -> Bool) -> Int {
        var offset = offset
        while offset < source.count {
            if isDigit(source[offset]) {
                offset += 1
            } else if source[offset] == UInt8(ascii: "_"), offset + 1 < source.count, isDigit(source[offset + 1]) {
                offset += 2
            } else {
                break
            }
        }
        return offset
    }

    /// A number with a fraction or an exponent is a float; after a dot (`a.0.1`) there are only integers.
    mutating func number() throws(TemplateError) {
        func isDecimal(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
        let whole = digits(from: position, isDecimal)
        if position == 0 || source[position - 1] != UInt8(ascii: ".") {
            var end = whole
            if end + 1 < source.count, source[end] == UInt8(ascii: "."), isDecimal(source[end + 1]) {
                end = digits(from: end + 1, isDecimal)
            }
            if end < source.count, source[end] | 0x20 == UInt8(ascii: "e") {
                var exponent = end + 1
                if exponent < source.count, source[exponent] == 0x2B || source[exponent] == 0x2D { exponent += 1 }
                if exponent < source.count, isDecimal(source[exponent]) { end = digits(from: exponent, isDecimal) }
            }
            if end > whole {
                let text = String(decoding: source[position..<end].filter { $0 != 0x5F }, as: UTF8.self)
                return take(.double(Double(text) ?? .infinity), to: end)
            }
        }
        try integer(decimalEnd: whole, isDecimal)
    }

    private mutating func integer(decimalEnd: Int, _ isDecimal: (UInt8) -> Bool) throws(TemplateError) {
        var end = decimalEnd, radix = 10, start = position
        if source[position] == 0x30 {
            end = digits(from: position) { $0 == 0x30 }
            let letter = position + 1 < source.count ? source[position + 1] | 0x20 : 0
            radix =
                letter == UInt8(ascii: "x")
                ? 16 : letter == UInt8(ascii: "o") ? 8 : letter == UInt8(ascii: "b") ? 2 : 10
            if radix != 10 {
                start = position + 2
                let base = radix
                func isDigit(_ byte: UInt8) -> Bool {
                    Character(Unicode.Scalar(byte)).hexDigitValue.map { $0 < base } ?? false
                }
                if start < source.count, source[start] == 0x5F { start += 1 }
                end = digits(from: start, isDigit)
                if end == start {
                    (end, start, radix) = (position + 1, position, 10)
                }
            }
        }
        let text = String(decoding: source[start..<end].filter { $0 != 0x5F }, as: UTF8.self)
        guard let value = Int(text, radix: radix) else {
            throw failure("the integer \(text.prefix(40)) has more than 64 bits", .unsupported)
        }
        take(.integer(value), to: end)
    }

    private mutating func take(_ kind: Token.Kind, to end: Int) {
        add(kind)
        position = end
    }

    // MARK: Strings

    mutating func string(quote: UInt8) throws(TemplateError) {
        var end = position + 1
        while end < source.count, source[end] != quote { end += source[end] == UInt8(ascii: "\\") ? 2 : 1 }
        guard end < source.count else { throw failure("a text has no closing \(Unicode.Scalar(quote))") }
        let startLine = line
        for byte in source[position..<end] where byte == 0x0A { line += 1 }
        let value = try unescaped(source[(position + 1)..<end], line: startLine)
        tokens.append(Token(kind: .string(value), line: startLine))
        position = end + 1
    }

    /// Python's escapes; one that is none keeps its backslash.
    private func unescaped(_ bytes: ArraySlice<UInt8>, line: Int) throws(TemplateError) -> Text {
        guard bytes.contains(UInt8(ascii: "\\")) else { return Text(bytes) }
        var result: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            guard byte == UInt8(ascii: "\\"), index < bytes.endIndex else {
                result.append(byte)
                continue
            }
            let letter = bytes[index]
            index += 1
            switch letter {
            case 0x0A: break
            case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): result.append(letter)
            case UInt8(ascii: "a"): result.append(0x07)
            case UInt8(ascii: "b"): result.append(0x08)
            case UInt8(ascii: "f"): result.append(0x0C)
            case UInt8(ascii: "n"): result.append(0x0A)
            case UInt8(ascii: "r"): result.append(0x0D)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "v"): result.append(0x0B)
            case UInt8(ascii: "0")...UInt8(ascii: "7"):
                var code = UInt32(letter - 0x30)
                for _ in 0..<2 where index < bytes.endIndex && (0x30...0x37).contains(bytes[index]) {
                    code = code * 8 + UInt32(bytes[index] - 0x30)
                    index += 1
                }
                result.append(contentsOf: UTF8.encode(Unicode.Scalar(code)!)!)
            case UInt8(ascii: "x"), UInt8(ascii: "u"), UInt8(ascii: "U"):
                let count = letter == UInt8(ascii: "x") ? 2 : letter == UInt8(ascii: "u") ? 4 : 8
                guard index + count <= bytes.endIndex,
                    let code = UInt32(String(decoding: bytes[index..<(index + count)], as: UTF8.self), radix: 16),
                    bytes[index] != 0x2B, bytes[index] != 0x2D, let scalar = Unicode.Scalar(code)
                else {
                    throw failure(
                        "the escape '\\\(Unicode.Scalar(letter))' needs \(count) digits of a code point", line: line)
                }
                result.append(contentsOf: UTF8.encode(scalar)!)
                index += count
            case UInt8(ascii: "N"): throw failure("the escape '\\N{...}' is not supported", .unsupported, line: line)
            case 0x80...:
                // Jinja writes such a letter as an escape of its own, whose backslash is the one that stood here.
                let start = index - 1
                while index < bytes.endIndex, bytes[index] & 0xC0 == 0x80 { index += 1 }
                let scalar = String(decoding: bytes[start..<index], as: UTF8.self).unicodeScalars.first!
                result += scalar.pythonEscape
            default: result += [UInt8(ascii: "\\"), letter]
            }
        }
        return Text(bytes: result)
    }
}

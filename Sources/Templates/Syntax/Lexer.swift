/// Cuts a template into tokens, with `trim_blocks` and `lstrip_blocks`: a newline after a block goes, and so does the
/// white space before a block that begins its line. `-` takes all white space, `+` keeps it.
struct Lexer {
    let name: String
    let source: [UInt8]
    var position = 0
    var line = 1
    var tokens: [Token] = []
    /// The last match ended in a newline, so that what follows begins a line.
    private var startsLine = true

    /// - Parameter source: newlines of any kind become `\n`, and the last one is no part of the template.
    init(_ source: String, name: String) {
        self.name = name
        var bytes: [UInt8] = []
        bytes.reserveCapacity(source.utf8.count)
        var afterReturn = false
        for byte in source.utf8 {
            if byte == 0x0A, afterReturn {
                afterReturn = false
                continue
            }
            afterReturn = byte == 0x0D
            bytes.append(afterReturn ? 0x0A : byte)
        }
        if bytes.last == 0x0A { bytes.removeLast() }
        self.source = bytes
    }

    static func tokens(of source: String, name: String) throws(TemplateError) -> [Token] {
        var lexer = Lexer(source, name: name)
        while lexer.position < lexer.source.count { try lexer.root() }
        lexer.add(.end)
        return lexer.tokens
    }

    func failure(_ reason: String, _ kind: TemplateError.Kind = .syntax, line: Int? = nil) -> TemplateError {
        TemplateError(kind: kind, template: name, line: line ?? self.line, reason: reason)
    }

    mutating func add(_ kind: Token.Kind) { tokens.append(Token(kind: kind, line: line)) }

    private func byte(_ offset: Int) -> UInt8? { offset < source.count ? source[offset] : nil }

    private func has(_ text: StaticString, at offset: Int) -> Bool {
        let count = text.utf8CodeUnitCount
        guard offset + count <= source.count else { return false }
        for index in 0..<count where source[offset + index] != text.utf8Start[index] { return false }
        return true
    }

    /// The next code point and its length.
    func scalar(at offset: Int) -> (Unicode.Scalar, Int) {
        let first = source[offset]
        if first < 0x80 { return (Unicode.Scalar(first), 1) }
        let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
        let text = String(decoding: source[offset..<min(offset + length, source.count)], as: UTF8.self)
        return (text.unicodeScalars.first!, length)
    }

    private func endOfSpace(from offset: Int) -> Int {
        var offset = offset
        while offset < source.count {
            let (scalar, length) = scalar(at: offset)
            guard scalar.isPythonSpace else { break }
            offset += length
        }
        return offset
    }

    private mutating func move(to end: Int) {
        for index in position..<end where source[index] == 0x0A { line += 1 }
        if end > position { startsLine = source[end - 1] == 0x0A }
        position = end
    }

    // MARK: Text

    /// Text up to the next tag, and the tag.
    private mutating func root() throws(TemplateError) {
        var start = position
        while start < source.count,
            !(source[start] == UInt8(ascii: "{") && [0x7B, 0x25, 0x23].contains(byte(start + 1)))
        {
            start += 1
        }
        guard start < source.count else {
            addText(position..<start)
            return move(to: start)
        }
        let isVariable = source[start + 1] == UInt8(ascii: "{")
        let signByte = byte(start + 2)
        let sign = signByte == UInt8(ascii: "-") || signByte == UInt8(ascii: "+") ? signByte : nil
        addText(textBefore(start, sign: sign, strips: !isVariable))
        move(to: start)
        if let end = endOfRawOpening(start) { return try raw(from: end) }
        let begin = start + (sign == nil ? 2 : 3)
        switch source[start + 1] {
        case UInt8(ascii: "#"): try comment(from: begin)
        case UInt8(ascii: "%"):
            add(.blockBegin)
            move(to: begin)
            try code(isBlock: true)
        default:
            add(.variableBegin)
            move(to: begin)
            try code(isBlock: false)
        }
    }

    private mutating func addText(_ range: Range<Int>) {
        if !range.isEmpty { add(.data(Text(source[range]))) }
    }

    /// The text before a tag, without the white space that the tag takes.
    private func textBefore(_ tag: Int, sign: UInt8?, strips: Bool) -> Range<Int> {
        if sign == UInt8(ascii: "-") {
            let text = Text(source[position..<tag])
            return position..<(position + text.stripped(left: false).bytes.count)
        }
        guard sign == nil, strips else { return position..<tag }
        let newline = source[position..<tag].lastIndex(of: 0x0A)
        guard newline != nil || startsLine else { return position..<tag }
        let lineStart = newline.map { $0 + 1 } ?? position
        return endOfSpace(from: lineStart) >= tag ? position..<lineStart : position..<tag
    }

    // MARK: Comments and raw blocks

    private mutating func comment(from begin: Int) throws(TemplateError) {
        var end = begin
        while end < source.count, !has("#}", at: end) { end += 1 }
        guard end < source.count else { throw failure("'{#' has no '#}'") }
        // A comment's own end may carry a sign.
        let sign = end > begin ? source[end - 1] : 0
        move(to: afterTag(end + 2, sign: sign))
    }

    /// Where the text goes on after a closing tag.
    private func afterTag(_ end: Int, sign: UInt8) -> Int {
        if sign == UInt8(ascii: "-") { return endOfSpace(from: end) }
        return sign != UInt8(ascii: "+") && byte(end) == 0x0A ? end + 1 : end
    }

    /// The end of `{% raw %}` at `start`, if that is what stands there.
    private func endOfRawOpening(_ start: Int) -> Int? {
        guard let name = wordInBlock("raw", at: start) else { return nil }
        if has("-%}", at: name) { return endOfSpace(from: name + 3) }
        return has("%}", at: name) ? name + 2 : nil
    }

    /// Where the block goes on after `{%`, a sign and a word.
    private func wordInBlock(_ word: StaticString, at start: Int) -> Int? {
        guard has("{%", at: start) else { return nil }
        var offset = start + 2
        if byte(offset) == UInt8(ascii: "-") || byte(offset) == UInt8(ascii: "+") { offset += 1 }
        offset = endOfSpace(from: offset)
        guard has(word, at: offset) else { return nil }
        return endOfSpace(from: offset + word.utf8CodeUnitCount)
    }

    private mutating func raw(from begin: Int) throws(TemplateError) {
        move(to: begin)
        var start = begin
        while start < source.count {
            if let end = wordInBlock("endraw", at: start) {
                let closing: UInt8 = byte(end) ?? 0
                let signed = closing == UInt8(ascii: "-") || closing == UInt8(ascii: "+")
                if has("%}", at: signed ? end + 1 : end) {
                    let sign = byte(start + 2).flatMap { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") ? $0 : nil }
                    addText(textBefore(start, sign: sign, strips: true))
                    return move(to: afterTag((signed ? end + 1 : end) + 2, sign: closing))
                }
            }
            start += 1
        }
        throw failure("'{% raw %}' has no '{% endraw %}'")
    }

    // MARK: Code

    private mutating func code(isBlock: Bool) throws(TemplateError) {
        /// Closing signs that are due: within brackets '}}' is two braces.
        var brackets: [UInt8] = []
        while true {
            if brackets.isEmpty, let end = endOfTag(isBlock: isBlock) {
                add(isBlock ? .blockEnd : .variableEnd)
                return move(to: end)
            }
            guard position < source.count else {
                return
            }
            let space = endOfSpace(from: position)
            if space > position {
                move(to: space)
                continue
            }
            let (scalar, _) = scalar(at: position)
            switch scalar {
            case "0"..."9": try number()
            case "'", "\"": try string(quote: source[position])
            case _ where scalar == "_" || scalar.properties.isXIDContinue: word()
            default: try sign(&brackets)
            }
        }
    }

    private func endOfTag(isBlock: Bool) -> Int? {
        guard isBlock else {
            if has("-}}", at: position) { return endOfSpace(from: position + 3) }
            return has("}}", at: position) ? position + 2 : nil
        }
        if has("-%}", at: position) { return endOfSpace(from: position + 3) }
        if has("+%}", at: position) { return position + 3 }
        return has("%}", at: position) ? afterTag(position + 2, sign: 0) : nil
    }

    private mutating func word() {
        var end = position
        while end < source.count {
            let (scalar, length) = scalar(at: end)
            guard scalar == "_" || scalar.properties.isXIDContinue else { break }
            end += length
        }
        add(.name(String(decoding: source[position..<end], as: UTF8.self)))
        move(to: end)
    }

    private static let signs: [StaticString] = [
        "**", "//", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=",
        ".", ":", "|", ",", ";",
    ]

    private mutating func sign(_ brackets: inout [UInt8]) throws(TemplateError) {
        guard let sign = Self.signs.first(where: { has($0, at: position) }) else {
            throw failure("'\(scalar(at: position).0)' has no meaning here")
        }
        switch source[position] {
        case UInt8(ascii: "("): brackets.append(UInt8(ascii: ")"))
        case UInt8(ascii: "["): brackets.append(UInt8(ascii: "]"))
        case UInt8(ascii: "{"): brackets.append(UInt8(ascii: "}"))
        case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"):
            guard let due = brackets.popLast() else { throw failure("'\(sign)' closes nothing") }
            guard due == source[position] else {
                throw failure("'\(sign)' stands where '\(Unicode.Scalar(due))' should")
            }
        default: break
        }
        add(.sign("\(sign)"))
        move(to: position + sign.utf8CodeUnitCount)
    }
}

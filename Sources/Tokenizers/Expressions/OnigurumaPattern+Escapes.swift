extension OnigurumaPattern {
    mutating func escape() throws(TokenizerError) {
        guard let scalar = next else { throw unsupported("a backslash at the end") }
        position += 1
        switch scalar {
        case "s", "S", "d", "D", "R", "N", "K", "A", "z", "Z", "G", "n", "t", "r", "f", "a", "e", "0"..."9":
            append(atom: "\\\(scalar)")
        case "w": append(atom: "[\(Self.wordAlone)]")
        case "W": append(atom: "[^\(Self.wordAlone)]")
        case "b": append(atom: boundary(isOne: true))
        case "B": append(atom: boundary(isOne: false))
        case "h": append(atom: "[\(Self.hexDigits)]")
        case "H": append(atom: "[^\(Self.hexDigits)]")
        case "v": append(atom: #"\x{B}"#)
        case "O": append(atom: "(?s:.)")
        case "p", "P": append(atom: try property(isNegated: scalar == "P"))
        case "x", "u":
            let code = try codePoint(scalar)
            try literal(code, as: Self.escaped(code))
        case "k":
            guard peek("<") else { throw unsupported("'\\k' without a name") }
            append(atom: "\\k" + take { $0 != ">" })
            guard take(">") else { throw unsupported("a group's name without an end") }
            out.append(">")
        default:
            guard !Self.isLetter(scalar) else { throw unsupported("'\\\(scalar)'") }
            try literal(scalar, as: scalar.value < 0x80 ? "\\\(scalar)" : String(scalar))
        }
    }

    private func boundary(isOne: Bool) -> String {
        let (before, after, notBefore, notAfter) = (
            "(?<=[\(Self.wordAlone)])", "(?=[\(Self.wordAlone)])", "(?<![\(Self.wordAlone)])", "(?![\(Self.wordAlone)])"
        )
        return isOne ? "(?:\(before)\(notAfter)|\(notBefore)\(after))" : "(?:\(before)\(after)|\(notBefore)\(notAfter))"
    }

    static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)
    }

    static func escaped(_ code: Unicode.Scalar) -> String {
        "\\x{\(String(code.value, radix: 16, uppercase: true))}"
    }

    /// The character of `\x41`, `\x{4E00}` or `\u4E00`, whose first two letters are taken.
    mutating func codePoint(_ kind: Unicode.Scalar) throws(TokenizerError) -> Unicode.Scalar {
        let isBraced = kind == "x" && take("{")
        let most = isBraced ? 8 : kind == "x" ? 2 : 4
        var digits = ""
        while digits.count < most, let scalar = next, scalar.properties.isASCIIHexDigit {
            digits.unicodeScalars.append(scalar)
            position += 1
        }
        // Two digits are a byte, and only those below 128 are a character.
        guard let value = UInt32(digits, radix: 16), let code = Unicode.Scalar(value), !isBraced || take("}"),
            kind == "x" || digits.count == 4, isBraced || kind == "u" || value < 0x80
        else { throw unsupported("'\\\(kind)\(isBraced ? "{" : "")\(digits)'") }
        return code
    }

    /// A property whose `\p` is taken.
    mutating func property(isNegated: Bool) throws(TokenizerError) -> String {
        guard take("{") else { throw unsupported("'\\p' without braces") }
        var negated = isNegated
        if take("^") { negated.toggle() }
        let name = take { $0 != "}" }
        guard take("}") else { throw unsupported("a property's name without an end") }
        guard let known = UnicodeProperty.spelling(of: name) else { throw unsupported("the property '\(name)'") }
        return "\\\(negated ? "P" : "p"){\(known)}"
    }
}

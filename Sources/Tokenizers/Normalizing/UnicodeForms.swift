// `String._nfc` and `_nfd` of the standard library's Unicode interface are the only normalization forms without
// Foundation. With a toolchain that drops them this file does not compile; Foundation's
// `precomposedStringWithCanonicalMapping` and its like give the same.
@_spi(_Unicode) import Swift

extension String {
    /// Unicode normalization form C, as of Unicode 9.
    package var normalizedNFC: String { normalized { $0._nfc } }

    /// Unicode normalization form D, as of Unicode 9.
    var normalizedNFD: String { normalized { $0._nfd } }

    /// The Hugging Face library has the tables of Unicode 9: a newer character stays what it is, and no mark is moved past
    /// it or composed over it.
    private func normalized(_ form: (String) -> some Sequence<Unicode.Scalar>) -> String {
        var scalars = String.UnicodeScalarView()
        var known = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            guard scalar.isNewerThanUnicode9 else {
                known.append(scalar)
                continue
            }
            scalars.append(contentsOf: form(String(known)))
            known = String.UnicodeScalarView()
            scalars.append(scalar)
        }
        scalars.append(contentsOf: form(String(known)))
        return String(scalars)
    }

    /// This text with every scalar replaced by its compatibility decomposition; form D or C of it is form KD or KC.
    var compatibilityMapped: String {
        var scalars = String.UnicodeScalarView()
        let table = CompatibilityMappings.table
        for scalar in unicodeScalars {
            if let mapping = table[scalar] {
                scalars.append(contentsOf: mapping)
            } else {
                scalars.append(scalar)
            }
        }
        return String(scalars)
    }
}

extension Unicode.Scalar {
    /// Whether a later version has added this character. Those below U+07FD are in every form what they are.
    fileprivate var isNewerThanUnicode9: Bool {
        value >= 0x7FD && properties.age.map { $0.major > 9 } ?? false
    }

    /// `\w` of UTS 18: alphabetic, marks, decimal digits, connectors, join controls.
    var isWordCharacter: Bool {
        if properties.isAlphabetic || properties.isJoinControl { return true }
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
        default: return false
        }
    }

    /// Punctuation as the Hugging Face library knows it: ASCII's, symbols included, and that of Unicode 8.
    var isPunctuation: Bool {
        if value < 0x80 {
            switch value {
            case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: return true
            default: return false
            }
        }
        switch properties.generalCategory {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
            .finalPunctuation, .otherPunctuation:
            return properties.age.map { $0.major <= 8 } ?? false
        default:
            // Two were punctuation in Unicode 8 and are symbols since.
            return value == 0x166D || value == 0x111C9
        }
    }
}

/// Steps through the scalars of valid UTF-8.
enum UTF8Text {
    /// The scalar at `position` and its length in bytes; nil at the end.
    static func scalar(at position: Int, in text: some Collection<UInt8>) -> (scalar: Unicode.Scalar, length: Int)? {
        guard position < text.count else { return nil }
        var decoder = UTF8()
        var iterator = text.dropFirst(position).makeIterator()
        guard case .scalarValue(let scalar) = decoder.decode(&iterator) else { return nil }
        return (scalar, UTF8.width(scalar))
    }

    /// Bytes of the character that starts with this byte.
    static func length(lead: UInt8) -> Int {
        switch lead {
        case 0..<0x80: 1
        case 0..<0xE0: 2
        case 0..<0xF0: 3
        default: 4
        }
    }

    /// Where `pattern`, not empty, begins in `text` at or after `start`.
    static func find(_ pattern: [UInt8], in text: [UInt8], from start: Int) -> Int? {
        let last = text.count - pattern.count
        guard start <= last else { return nil }
        let first = pattern[0]
        var position = start
        search: while position <= last {
            guard text[position] == first else {
                position += 1
                continue
            }
            for offset in 1..<pattern.count where text[position + offset] != pattern[offset] {
                position += 1
                continue search
            }
            return position
        }
        return nil
    }
}

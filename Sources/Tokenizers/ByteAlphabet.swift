/// The letters that stand for bytes in byte-level vocabularies: printable Latin-1 bytes for themselves, the others
/// from U+0100 on (GPT-2's `bytes_to_unicode`).
package enum ByteAlphabet {
    /// The letter of every byte.
    package static let letters: [Unicode.Scalar] = {
        var next: UInt32 = 256
        return (0..<256).map { byte in
            switch byte {
            case 33...126, 161...172, 174...255: return Unicode.Scalar(UInt8(byte))
            default:
                defer { next += 1 }
                return Unicode.Scalar(next)!  // 256..<324: no surrogates
            }
        }
    }()

    /// The byte of every letter below U+0144; -1 for others.
    private static let bytes: [Int16] = {
        var table = [Int16](repeating: -1, count: 324)
        for (byte, letter) in letters.enumerated() { table[Int(letter.value)] = Int16(byte) }
        return table
    }()

    /// The bytes that a token stands for, or nil when a letter of it stands for none.
    static func bytes(of token: String) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(token.utf8.count)
        for scalar in token.unicodeScalars {
            guard scalar.value < 324, bytes[Int(scalar.value)] >= 0 else { return nil }
            result.append(UInt8(bytes[Int(scalar.value)]))
        }
        return result
    }
}

extension BinaryInteger {
    /// The number with zeros before it, so that it has at least so many digits: `padded(to: 3)` of 7 is `007`.
    /// - Parameter radix: the base of the digits, 2 ... 36; above ten in small letters.
    package func padded(to count: Int, radix: Int = 10) -> String {
        let digits = String(self, radix: radix)
        return String(repeating: "0", count: Swift.max(0, count - digits.utf8.count)) + digits
    }
}

extension Unicode.Scalar {
    /// Whether it steers a terminal instead of showing: ASCII's control characters, and those of ISO 8859.
    package var isControl: Bool { value < 0x20 || (0x7f..<0xa0).contains(value) }
}

extension StringProtocol where SubSequence == Substring {
    /// The text without white space at either end.
    package var trimmed: Substring {
        var text = self[...]
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }
}

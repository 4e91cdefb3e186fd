/// A text as Python has it: a sequence of code points, equal only when all of them are. Swift's String compares
/// canonically and counts characters.
struct Text: Hashable, Sendable {
    /// UTF-8.
    let bytes: [UInt8]
    /// Code points.
    let count: Int
    /// Came from `safe` or `escape`: what is added to it is escaped first.
    let isMarkup: Bool

    init(_ string: String) { self.init(bytes: Array(string.utf8)) }

    /// The bytes must be UTF-8.
    init(bytes: [UInt8], isMarkup: Bool = false) {
        self.bytes = bytes
        count = bytes.withUnsafeBufferPointer { buffer in
            var count = 0
            for byte in buffer where byte & 0xC0 != 0x80 { count += 1 }
            return count
        }
        self.isMarkup = isMarkup
    }

    init(scalars: some Sequence<Unicode.Scalar>) {
        var bytes: [UInt8] = []
        for scalar in scalars { bytes.append(contentsOf: UTF8.encode(scalar)!) }
        self.init(bytes: bytes)
    }

    init(_ bytes: ArraySlice<UInt8>, isMarkup: Bool = false) { self.init(bytes: Array(bytes), isMarkup: isMarkup) }

    static func == (a: Text, b: Text) -> Bool { a.bytes == b.bytes }
    func hash(into hasher: inout Hasher) { hasher.combine(bytes) }

    static let empty = Text(bytes: [])

    var string: String { String(decoding: bytes, as: UTF8.self) }
    var scalars: String.UnicodeScalarView { string.unicodeScalars }
    var isEmpty: Bool { bytes.isEmpty }
    var isASCII: Bool { bytes.count == count }

    /// The same text with or without the mark.
    func marked(_ isMarkup: Bool) -> Text {
        self.isMarkup == isMarkup ? self : Text(bytes: bytes, isMarkup: isMarkup)
    }

    /// Byte offset of a code point, 0 ... count.
    func offset(of index: Int) -> Int {
        if isASCII { return index }
        var remaining = index
        for (offset, byte) in bytes.enumerated() where byte & 0xC0 != 0x80 {
            if remaining == 0 { return offset }
            remaining -= 1
        }
        return bytes.count
    }

    /// Code points before a byte offset.
    func index(ofByte offset: Int) -> Int {
        isASCII ? offset : bytes[..<offset].reduce(0) { $0 + ($1 & 0xC0 != 0x80 ? 1 : 0) }
    }

    /// The code points of a range within 0 ... count.
    func slice(_ range: Range<Int>) -> Text {
        if range == 0..<count { return self }
        let start = offset(of: range.lowerBound)
        if isASCII { return Text(bytes[start..<range.upperBound], isMarkup: isMarkup) }
        var end = start, remaining = range.count
        while end < bytes.count {
            if bytes[end] & 0xC0 != 0x80 {
                if remaining == 0 { break }
                remaining -= 1
            }
            end += 1
        }
        return Text(bytes[start..<end], isMarkup: isMarkup)
    }

    /// Every code point as a text of its own.
    var characters: [Text] {
        if isASCII { return bytes.map { Text(bytes: [$0], isMarkup: isMarkup) } }
        return scalars.map { Text(bytes: Array(UTF8.encode($0)!), isMarkup: isMarkup) }
    }

    static func + (a: Text, b: Text) -> Text { Text(bytes: a.bytes + b.bytes) }
}

extension Text: Comparable {
    /// UTF-8 sorts as code points do.
    static func < (a: Text, b: Text) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}

extension Text: ExpressibleByStringLiteral, CustomStringConvertible {
    init(stringLiteral value: String) { self.init(value) }
    var description: String { string }
}

extension Unicode.Scalar {
    /// Python's `str.isspace` of a code point.
    var isPythonSpace: Bool {
        switch value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    /// Python's `str.splitlines` ends a line here.
    var isLineBreak: Bool {
        switch value {
        case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }
}

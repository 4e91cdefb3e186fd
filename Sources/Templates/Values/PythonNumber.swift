import Glibc

/// Numbers as Python writes them.
enum PythonNumber {
    /// `repr` of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16.
    static func representation(of value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        let (digits, exponent) = shortest(value.magnitude)
        let sign = value.sign == .minus ? "-" : ""
        // The value is 0.DIGITS times ten to the exponent.
        if exponent > 16 || exponent < -3 {
            let power = exponent - 1
            let fraction = digits.count > 1 ? "." + digits.dropFirst() : ""
            let width = power.magnitude < 10 ? "0" : ""
            return "\(sign)\(digits.prefix(1))\(fraction)e\(power < 0 ? "-" : "+")\(width)\(power.magnitude)"
        }
        if exponent <= 0 { return sign + "0." + String(repeating: "0", count: -exponent) + digits }
        if digits.count <= exponent {
            return sign + digits + String(repeating: "0", count: exponent - digits.count) + ".0"
        }
        return sign + digits.prefix(exponent) + "." + digits.dropFirst(exponent)
    }

    /// Shortest decimal digits of a finite number that is not negative, and the exponent that goes with `0.DIGITS`.
    private static func shortest(_ value: Double) -> (digits: String, exponent: Int) {
        if value == 0 { return ("0", 1) }
        let text = value.description
        let parts = text.split(separator: "e")
        let halves = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let whole = halves[0], fraction = halves.count > 1 ? halves[1] : ""
        var exponent = whole.count + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
        var digits = Substring(String(whole) + fraction)
        while digits.count > 1, digits.first == "0" {
            digits.removeFirst()
            exponent -= 1
        }
        while digits.count > 1, digits.last == "0" { digits.removeLast() }
        return (String(digits), exponent)
    }

    /// C's `%.*f`, `%.*e` or `%.*g`, which round exact values half to even as Python does.
    static func formatted(_ value: Double, precision: Int, style: Character, alternate: Bool = false) -> String {
        if value.isNaN { return style.isUppercase ? "NAN" : "nan" }
        if value.isInfinite { return (value < 0 ? "-" : "") + (style.isUppercase ? "INF" : "inf") }
        var buffer = [CChar](repeating: 0, count: 512 + precision)
        let format = "%" + (alternate ? "#" : "") + ".*" + String(style)
        let count = withVaList([Int32(precision), value]) { vsnprintf(&buffer, buffer.count, format, $0) }
        return String(decoding: buffer.prefix(Int(count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Python's `int(text, base)`; nil where that is an error.
    static func integer(_ text: Text, radix: Int) throws -> Int? {
        var digits = Array(text.stripped().bytes)
        var isNegative = false
        if let first = digits.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
            isNegative = first == UInt8(ascii: "-")
            digits.removeFirst()
        }
        var radix = radix
        if digits.count > 2, digits[0] == 0x30 {
            let base = [UInt8(ascii: "x"): 16, UInt8(ascii: "o"): 8, UInt8(ascii: "b"): 2][digits[1] | 0x20]
            if let base, radix == base || radix == 0 {
                radix = base
                digits.removeFirst(2)
                if digits.first == 0x5F { digits.removeFirst() }
            }
        }
        if radix == 0 {
            radix = 10
            if digits.count > 1, digits[0] == 0x30, digits.contains(where: { $0 != 0x30 && $0 != 0x5F }) { return nil }
        }
        guard (2...36).contains(radix), !digits.isEmpty, digits.first != 0x5F, digits.last != 0x5F else { return nil }
        for index in digits.indices.dropLast() where digits[index] == 0x5F && digits[index + 1] == 0x5F { return nil }
        let plain = String(decoding: digits.filter { $0 != 0x5F }, as: UTF8.self)
        guard let first = plain.utf8.first, first != UInt8(ascii: "-"), first != UInt8(ascii: "+") else { return nil }
        if let value = Int((isNegative ? "-" : "") + plain, radix: radix) { return value }
        guard plain.allSatisfy({ $0.isASCII && ($0.hexDigitValue ?? 99) < radix }) else { return nil }
        throw Fault("the integer '\(plain.prefix(40))' has more than 64 bits", .unsupported)
    }

    /// Python's `float(text)`; nil where that is an error.
    static func double(_ text: Text) -> Double? {
        let bytes = text.stripped().bytes
        guard let first = bytes.first, bytes.last != 0x5F, first != 0x5F else { return nil }
        for (index, byte) in bytes.enumerated() where byte == 0x5F {
            guard index > 0, index + 1 < bytes.count, (0x30...0x39).contains(bytes[index - 1]),
                (0x30...0x39).contains(bytes[index + 1])
            else { return nil }
        }
        let plain = String(decoding: bytes.filter { $0 != 0x5F }, as: UTF8.self).lowercased()
        let unsigned = plain.first == "-" || plain.first == "+" ? plain.dropFirst() : plain[...]
        if ["inf", "infinity"].contains(unsigned) { return plain.first == "-" ? -.infinity : .infinity }
        if unsigned == "nan" { return .nan }
        guard unsigned.allSatisfy({ $0.isNumber && $0.isASCII || ".e+-".contains($0) }), !unsigned.isEmpty else {
            return nil
        }
        // Swift wants digits on both sides of the dot.
        var padded = String(unsigned)
        if padded.hasPrefix(".") { padded = "0" + padded }
        if padded.hasSuffix(".") { padded += "0" }
        padded = padded.replacing(".e", with: ".0e")
        guard unsigned.contains(where: \.isNumber), unsigned != "." else { return nil }
        return Double(padded).map { plain.first == "-" ? -$0 : $0 }
    }
}

/// A decimal number as texts write it: `-3`, `1,234`, `0.5`, `2e-3`.
struct LastNumber: Equatable {
    var value: Double
    /// Digits without leading zeros of a number that has neither fraction nor exponent: compared exactly, however long.
    var integer: String?

    func isEqual(to other: LastNumber, tolerance: Double) -> Bool {
        if let integer, let wanted = other.integer { if integer == wanted { return true } }
        // Beyond 2^53 two integers can differ and have the same value.
        if tolerance == 0, integer != nil, other.integer != nil { return false }
        return abs(value - other.value) <= tolerance
    }

    /// The whole text as a number; white space around it does not count.
    static func number(_ text: String) -> LastNumber? {
        let bytes = Array(text.utf8).filter { $0 > UInt8(ascii: " ") }
        guard let (number, end) = read(bytes, at: 0), end == bytes.count else { return nil }
        return number
    }

    /// The last number of a text.
    static func find(in text: String) -> LastNumber? {
        let bytes = Array(text.utf8)
        var last: LastNumber?
        var index = 0
        while index < bytes.count {
            if let (number, end) = read(bytes, at: index) {
                last = number
                index = end
            } else {
                index += 1
            }
        }
        return last
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    /// The number that begins at `start`, and where it ends. A sign belongs to it unless it stands behind a digit.
    private static func read(_ bytes: [UInt8], at start: Int) -> (LastNumber, end: Int)? {
        func at(_ index: Int) -> UInt8 { bytes.indices.contains(index) ? bytes[index] : 0 }
        var index = start
        var text = ""
        let isSigned = at(index) == UInt8(ascii: "-") || at(index) == UInt8(ascii: "+")
        if isSigned, start == 0 || !isDigit(at(start - 1)) {
            if at(index) == UInt8(ascii: "-") { text = "-" }
            index += 1
        }
        var digits = ""
        while isDigit(at(index)) || (at(index) == UInt8(ascii: ",") && isGroup(bytes, at: index, digits)) {
            if isDigit(at(index)) { digits.unicodeScalars.append(Unicode.Scalar(at(index))) }
            index += 1
        }
        var isInteger = true
        var fraction = ""
        if at(index) == UInt8(ascii: "."), isDigit(at(index + 1)) {
            isInteger = false
            index += 1
            while isDigit(at(index)) {
                fraction.unicodeScalars.append(Unicode.Scalar(at(index)))
                index += 1
            }
        }
        guard !digits.isEmpty || !fraction.isEmpty else { return nil }
        var exponent = ""
        if at(index) | 0x20 == UInt8(ascii: "e") {
            let signed = at(index + 1) == UInt8(ascii: "-") || at(index + 1) == UInt8(ascii: "+") ? 1 : 0
            if isDigit(at(index + 1 + signed)) {
                isInteger = false
                exponent = signed == 1 && at(index + 1) == UInt8(ascii: "-") ? "e-" : "e"
                index += 1 + signed
                while isDigit(at(index)) {
                    exponent.unicodeScalars.append(Unicode.Scalar(at(index)))
                    index += 1
                }
            }
        }
        let whole = "\(text)\(digits.isEmpty ? "0" : digits)\(fraction.isEmpty ? "" : "." + fraction)\(exponent)"
        guard let value = Double(whole) else { return nil }
        let significant = digits.drop { $0 == "0" }
        let integer = significant.isEmpty ? "0" : text + significant
        return (LastNumber(value: value, integer: isInteger ? integer : nil), index)
    }

    /// Whether a comma stands between digits and exactly three more.
    private static func isGroup(_ bytes: [UInt8], at comma: Int, _ before: String) -> Bool {
        guard !before.isEmpty, comma + 3 < bytes.count else { return false }
        let three = (1...3).allSatisfy { isDigit(bytes[comma + $0]) }
        return three && (comma + 4 >= bytes.count || !isDigit(bytes[comma + 4]))
    }
}

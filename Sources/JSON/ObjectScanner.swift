import Glibc

/// Walks the members of one JSON object in place, without making values of what nobody asks for.
///
/// A run of 100,000 steps has some 90 MB of metrics, for which ``JSONValue`` would need half a minute. What this accepts
/// is no more than an outline of JSON: whoever shows texts reads them again with ``JSONValue``.
package struct ObjectScanner {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    private var isFirst = true
    private var isDone = false
    /// Whether the bytes are no object, or a value was not of the kind that was asked for.
    package private(set) var isBroken = false

    /// A number as it was read.
    package struct Number: Equatable {
        package var value: Double
        package var isInteger: Bool
    }

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Whether the whole object was walked and nothing was wrong.
    package var isWhole: Bool { isDone && !isBroken }

    private var current: UInt8 { position < bytes.count ? bytes[position] : 0 }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0d, 0x0a: position += 1
            default: return
            }
        }
    }

    private mutating func fail() { isBroken = true }

    /// The next member's name, escapes as they stand; nil at the end, and when something is wrong. The value must be
    /// taken or skipped before the next call.
    package mutating func key() -> UnsafeRawBufferPointer? {
        guard !isBroken, !isDone else { return nil }
        skipSpace()
        let opening = isFirst ? UInt8(ascii: "{") : UInt8(ascii: ",")
        if !isFirst, current == UInt8(ascii: "}") { return end() }
        guard current == opening else {
            fail()
            return nil
        }
        position += 1
        skipSpace()
        if isFirst, current == UInt8(ascii: "}") { return end() }
        isFirst = false
        guard let key = quoted() else { return nil }
        skipSpace()
        guard current == UInt8(ascii: ":") else {
            fail()
            return nil
        }
        position += 1
        skipSpace()
        return key
    }

    /// Takes the next member's name where it is this one, as ``key()`` does.
    /// - Returns: whether it is; where it is not, nothing has moved.
    package mutating func isKey(_ name: StaticString) -> Bool {
        guard !isBroken, !isDone else { return false }
        let start = position, count = name.utf8CodeUnitCount
        skipSpace()
        if current == (isFirst ? UInt8(ascii: "{") : UInt8(ascii: ",")) {
            position += 1
            skipSpace()
            let first = position + 1, end = first + count
            if end < bytes.count, bytes[position] == UInt8(ascii: "\""), bytes[end] == UInt8(ascii: "\""),
                let base = bytes.baseAddress, memcmp(base + first, name.utf8Start, count) == 0
            {
                position = end + 1
                skipSpace()
                if current == UInt8(ascii: ":") {
                    position += 1
                    skipSpace()
                    isFirst = false
                    return true
                }
            }
        }
        position = start
        return false
    }

    private mutating func end() -> UnsafeRawBufferPointer? {
        position += 1
        skipSpace()
        isDone = true
        if position < bytes.count { fail() }
        return nil
    }

    /// What stands between two quotes, escapes as they are; nil when no string stands here.
    package mutating func quoted() -> UnsafeRawBufferPointer? {
        guard current == UInt8(ascii: "\"") else {
            fail()
            return nil
        }
        let start = position + 1
        var index = start
        while index < bytes.count {
            index += plainCount(from: index)
            guard index < bytes.count else { break }
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") {
                position = index + 1
                return UnsafeRawBufferPointer(rebasing: bytes[start..<index])
            }
            if byte < 0x20 { break }
            index += byte == UInt8(ascii: "\\") ? 2 : 1
        }
        fail()
        return nil
    }

    /// How many bytes from here on, of those looked at eight at a time, are neither quotes, backslashes nor control
    /// characters.
    private func plainCount(from start: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        var index = start
        while index + 8 <= bytes.count {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let quote = word ^ ones &* 0x22, backslash = word ^ ones &* 0x5c
            // The lowest bit that is set is of the first such byte; those above it may be of others.
            let found =
                ((quote &- ones) & ~quote | (backslash &- ones) & ~backslash | (word &- ones &* 0x20) & ~word)
                & ones &* 0x80
            if found != 0 { return index - start + found.trailingZeroBitCount / 8 }
            index += 8
        }
        return index - start
    }

    /// A number, or nil for null; anything else is wrong.
    package mutating func number() -> Number? {
        if current == UInt8(ascii: "n") {
            literal("null")
            return nil
        }
        guard let number = scanNumber() else {
            fail()
            return nil
        }
        return number
    }

    /// Count and sum of an array of numbers; a null in it makes the sum no number. Nil for what is no such array.
    package mutating func sum() -> (count: Int, sum: Double)? {
        guard current == UInt8(ascii: "[") else {
            fail()
            return nil
        }
        position += 1
        skipSpace()
        if current == UInt8(ascii: "]") {
            position += 1
            return (0, 0)
        }
        var count = 0, sum = 0.0
        while !isBroken {
            skipSpace()
            sum += number()?.value ?? .nan
            count += 1
            skipSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                position += 1
                return isBroken ? nil : (count, sum)
            default: fail()
            }
        }
        return nil
    }

    /// Whether `true` stands here; anything but `true`, `false` and `null` is wrong.
    package mutating func bool() -> Bool? {
        switch current {
        case UInt8(ascii: "t"):
            literal("true")
            return true
        case UInt8(ascii: "f"):
            literal("false")
            return false
        default:
            literal("null")
            return nil
        }
    }

    /// Passes over a value of any kind.
    /// - Returns: its bytes as they stand.
    package mutating func raw() -> UnsafeRawBufferPointer {
        let start = position
        skip()
        return UnsafeRawBufferPointer(rebasing: bytes[start..<max(start, min(position, bytes.count))])
    }

    /// Passes over a value of any kind; of arrays and objects only strings and brackets are looked at.
    package mutating func skip() {
        switch current {
        case UInt8(ascii: "\""): _ = quoted()
        case UInt8(ascii: "t"): literal("true")
        case UInt8(ascii: "f"): literal("false")
        case UInt8(ascii: "n"): literal("null")
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            var depth = 0
            repeat {
                guard position < bytes.count, !isBroken else { return fail() }
                switch bytes[position] {
                case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
                case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
                case UInt8(ascii: "\""):
                    _ = quoted()
                    continue
                default: break
                }
                position += 1
            } while depth > 0
        default: if scanNumber() == nil { fail() }
        }
    }

    private mutating func literal(_ text: StaticString) {
        let count = text.utf8CodeUnitCount
        guard position + count <= bytes.count else { return fail() }
        for index in 0..<count where bytes[position + index] != text.utf8Start[index] { return fail() }
        position += count
    }

    /// 10 to the power of 0 to 22, which Double has exactly.
    private static let powers: [Double] = (0...22).map { exponent in
        var power = 1.0
        for _ in 0..<exponent { power *= 10 }
        return power
    }

    /// A number in JSON's form, or without digits after its point; the nearest Double to it; nil when none stands here, or one that is not finite.
    private mutating func scanNumber() -> Number? {
        let start = position
        var index = position
        let isNegative = current == UInt8(ascii: "-")
        if isNegative { index += 1 }
        var mantissa: UInt64 = 0, digits = 0, exponent = 0, isInteger = true
        let firstDigit = index
        while index < bytes.count, case let digit = bytes[index] &- 0x30, digit < 10 {
            if digits < 19 { mantissa = mantissa * 10 + UInt64(digit) }
            if digits > 0 || digit > 0 { digits += 1 }
            index += 1
        }
        guard index > firstDigit else { return nil }
        if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
            isInteger = false
            index += 1
            while index < bytes.count, case let digit = bytes[index] &- 0x30, digit < 10 {
                if digits < 19 { mantissa = mantissa * 10 + UInt64(digit) }
                if digits > 0 || digit > 0 { digits += 1 }
                exponent -= 1
                index += 1
            }
        }
        if index < bytes.count, bytes[index] | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            index += 1
            var sign = 1, value = 0
            if index < bytes.count, bytes[index] == UInt8(ascii: "-") || bytes[index] == UInt8(ascii: "+") {
                sign = bytes[index] == UInt8(ascii: "-") ? -1 : 1
                index += 1
            }
            let firstDigit = index
            while index < bytes.count, case let digit = bytes[index] &- 0x30, digit < 10 {
                if value < 100_000 { value = value * 10 + Int(digit) }
                index += 1
            }
            guard index > firstDigit else { return nil }
            exponent += sign * value
        }
        position = index
        // A quotient or product of two exact numbers is the nearest to the true one (Clinger, 1990).
        if digits <= 19, mantissa <= 1 << 53, abs(exponent) <= 22 {
            let power = Self.powers[abs(exponent)]
            let value = exponent < 0 ? Double(mantissa) / power : Double(mantissa) * power
            return Number(value: isNegative ? -value : value, isInteger: isInteger)
        }
        guard let value = nearest(start..<index), value.isFinite else { return nil }
        return Number(value: value, isInteger: isInteger)
    }

    private func nearest(_ range: Range<Int>) -> Double? {
        // No program of ours writes longer ones.
        guard range.count < 400, let base = bytes.baseAddress else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: range.count + 1) { buffer -> Double? in
            guard let address = buffer.baseAddress else { return nil }
            memcpy(address, base + range.lowerBound, range.count)
            buffer[range.count] = 0
            return strtod(address, nil)
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether these are the bytes of a text.
    package func isEqual(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        guard let baseAddress else { return true }
        return memcmp(baseAddress, text.utf8Start, count) == 0
    }
}

/// What is wrong with a JSON text, and where.
package struct JSONError: Error, Sendable, CustomStringConvertible {
    /// Byte offset of the problem.
    package let offset: Int
    package let message: String
    package var description: String { "not valid JSON at byte \(offset): \(message)" }
}

extension JSONValue {
    /// More values than any file of ours has: an array of a few bytes takes a hundred of memory.
    package static let maximumCount = 1 << 24

    /// Parses one JSON text (RFC 8259, UTF-8) of at most `limit` values. Throws ``JSONError``.
    ///
    /// `takesPythonWords` takes the words that Python writes for numbers that are not finite (NaN, Infinity, -Infinity)
    /// for texts of the same spelling: whoever reads one where a number should be refuses it.
    package static func parse(
        _ bytes: UnsafeRawBufferPointer, limit: Int = maximumCount, takesPythonWords: Bool = false
    ) throws(JSONError) -> JSONValue {
        var parser = JSONParser(
            bytes: bytes.bindMemory(to: UInt8.self), limit: limit, takesPythonWords: takesPythonWords)
        return try parser.document()
    }

    package static func parse(
        _ bytes: [UInt8], limit: Int = maximumCount, takesPythonWords: Bool = false
    ) throws(JSONError) -> JSONValue {
        let result = bytes.withUnsafeBytes { buffer in
            Result { () throws(JSONError) -> JSONValue in
                try parse(buffer, limit: limit, takesPythonWords: takesPythonWords)
            }
        }
        return try result.get()
    }

    package static func parse(_ text: String) throws(JSONError) -> JSONValue { try parse(Array(text.utf8)) }
}

/// A parser of one text, by descent.
private struct JSONParser {
    let bytes: UnsafeBufferPointer<UInt8>
    var position = 0
    var depth = 0

    /// Deeper than any file of ours, and shallow enough for any thread's stack.
    static let maximumDepth = 128

    private let limit: Int
    private let takesPythonWords: Bool
    private var count = 0

    init(bytes: UnsafeBufferPointer<UInt8>, limit: Int, takesPythonWords: Bool) {
        self.bytes = bytes
        self.limit = limit
        self.takesPythonWords = takesPythonWords
    }

    mutating func document() throws(JSONError) -> JSONValue {
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { position = 3 }
        let value = try self.value()
        skipSpace()
        guard position == bytes.count else { throw failure("text follows the end of the document") }
        return value
    }

    func failure(_ message: String) -> JSONError { JSONError(offset: position, message: message) }

    var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    mutating func value() throws(JSONError) -> JSONValue {
        count += 1
        guard count <= limit else { throw failure("more than \(limit) values") }
        skipSpace()
        guard let byte = current else { throw failure("the text ends where a value should stand") }
        switch byte {
        case UInt8(ascii: "{"): return .object(try object())
        case UInt8(ascii: "["): return .array(try array())
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "N") where takesPythonWords: return try literal("NaN", .string("NaN"))
        case UInt8(ascii: "I") where takesPythonWords: return try literal("Infinity", .string("Infinity"))
        case UInt8(ascii: "-") where takesPythonWords && next == UInt8(ascii: "I"):
            return try literal("-Infinity", .string("-Infinity"))
        default: return try number()
        }
    }

    private var next: UInt8? { position + 1 < bytes.count ? bytes[position + 1] : nil }

    mutating func literal(_ text: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let count = text.utf8CodeUnitCount
        guard position + count <= bytes.count else { throw failure("unknown word") }
        for index in 0..<count where bytes[position + index] != text.utf8Start[index] {
            throw failure("unknown word")
        }
        position += count
        return value
    }

    mutating func enter() throws(JSONError) {
        depth += 1
        guard depth <= Self.maximumDepth else { throw failure("nested deeper than \(Self.maximumDepth) levels") }
    }

    mutating func object() throws(JSONError) -> JSONObject {
        try enter()
        defer { depth -= 1 }
        position += 1
        var members: [JSONObject.Member] = []
        skipSpace()
        if current == UInt8(ascii: "}") {
            position += 1
            return JSONObject()
        }
        while true {
            skipSpace()
            guard current == UInt8(ascii: "\"") else { throw failure("a member's name should stand here") }
            let key = try string()
            skipSpace()
            guard current == UInt8(ascii: ":") else { throw failure("a colon should stand here") }
            position += 1
            members.append(.init(key: key, value: try value()))
            skipSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"):
                position += 1
                return JSONObject(members)
            default: throw failure("a comma or closing brace should stand here")
            }
        }
    }

    mutating func array() throws(JSONError) -> [JSONValue] {
        try enter()
        defer { depth -= 1 }
        position += 1
        var values: [JSONValue] = []
        skipSpace()
        if current == UInt8(ascii: "]") {
            position += 1
            return values
        }
        while true {
            values.append(try value())
            skipSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                position += 1
                return values
            default: throw failure("a comma or closing bracket should stand here")
            }
        }
    }

    mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 {
            position += 1
        }
        if current == UInt8(ascii: "\"") {
            defer { position += 1 }
            return try text(UnsafeBufferPointer(rebasing: bytes[start..<position]), at: start)
        }
        // An escape: collect the bytes.
        var collected = Array(bytes[start..<position])
        while true {
            guard let byte = current else { throw failure("the text ends within a string") }
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                let result = collected.withUnsafeBufferPointer { buffer in
                    Result { () throws(JSONError) -> String in try text(buffer, at: start) }
                }
                return try result.get()
            case UInt8(ascii: "\\"): try escape(into: &collected)
            case 0..<0x20: throw failure("a control character within a string")
            default: collected.append(byte)
            }
        }
    }

    func text(_ buffer: UnsafeBufferPointer<UInt8>, at start: Int) throws(JSONError) -> String {
        guard let string = String(validating: buffer, as: UTF8.self) else {
            throw JSONError(offset: start, message: "a string is not valid UTF-8")
        }
        return string
    }

    mutating func escape(into collected: inout [UInt8]) throws(JSONError) {
        guard let byte = current else { throw failure("the text ends within an escape") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): collected.append(byte)
        case UInt8(ascii: "b"): collected.append(0x08)
        case UInt8(ascii: "f"): collected.append(0x0C)
        case UInt8(ascii: "n"): collected.append(0x0A)
        case UInt8(ascii: "r"): collected.append(0x0D)
        case UInt8(ascii: "t"): collected.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hex()
            if code & 0xFC00 == 0xD800, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
                bytes[position + 1] == UInt8(ascii: "u")
            {
                position += 2
                let low = try hex()
                guard low & 0xFC00 == 0xDC00 else { throw failure("half of a surrogate pair") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure("half of a surrogate pair") }
            collected.append(contentsOf: UTF8.encode(scalar)!)
        default: throw failure("unknown escape")
        }
    }

    mutating func hex() throws(JSONError) -> UInt32 {
        guard position + 4 <= bytes.count else { throw failure("the text ends within an escape") }
        var code: UInt32 = 0
        for _ in 0..<4 {
            let byte = bytes[position]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw failure("four hexadecimal digits should stand here")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }

    mutating func number() throws(JSONError) -> JSONValue {
        let start = position
        var isInteger = true
        if current == UInt8(ascii: "-") { position += 1 }
        let digits = position
        while let byte = current {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): break
            case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"):
                isInteger = false
            default:
                return try finishNumber(start, digits, isInteger)
            }
            position += 1
        }
        return try finishNumber(start, digits, isInteger)
    }

    func finishNumber(_ start: Int, _ digits: Int, _ isInteger: Bool) throws(JSONError) -> JSONValue {
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard digits < position, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[digits]) else {
            throw JSONError(offset: start, message: "a value should stand here")
        }
        if isInteger, let value = Int(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else {
            throw JSONError(offset: start, message: "'\(text.prefix(40))' is not a number")
        }
        return .number(value)
    }
}

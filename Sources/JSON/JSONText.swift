/// JSON as text, written the same way every time: keys in the order given, numbers in their shortest exact form.
package enum JSONText {
    /// A number that reads back to the same value; `null` when it is not finite.
    package static func number(_ value: Double) -> String { value.isFinite ? value.description : "null" }

    /// A number that reads back to the same Float; `null` when it is not finite.
    package static func number(_ value: Float) -> String { value.isFinite ? value.description : "null" }

    package static func array(_ values: some Sequence<Float>) -> String {
        "[" + values.map { number($0) }.joined(separator: ",") + "]"
    }

    package static func array(_ values: some Sequence<Int32>) -> String {
        "[" + values.map { String($0) }.joined(separator: ",") + "]"
    }

    package static func array(_ values: some Sequence<UInt64>) -> String {
        "[" + values.map { String($0) }.joined(separator: ",") + "]"
    }

    /// A string in its quotes.
    package static func string(_ text: String) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + 2)
        append(text, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends a string in its quotes. All but ASCII's control characters, quotes and backslashes stay as they are.
    static func append(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0x0a: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            case 0x0d: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "r")]
            case 0x09: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "t")]
            case 0..<0x20, 0x7f:
                let digits = Array("0123456789abcdef".utf8)
                bytes += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// `{"a": 1, "b": "x"}` from names and values that are JSON already.
    package static func object(_ fields: [(name: String, json: String)]) -> String {
        "{" + fields.map { "\(string($0.name)): \($0.json)" }.joined(separator: ", ") + "}"
    }
}

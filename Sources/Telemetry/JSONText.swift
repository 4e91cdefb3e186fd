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

    package static func string(_ text: String) -> String {
        var out: [UInt8] = [UInt8(ascii: "\"")]
        out.reserveCapacity(text.utf8.count + 2)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): out += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\\"): out += [byte, byte]
            case 0x0a: out += Array("\\n".utf8)
            case 0x0d: out += Array("\\r".utf8)
            case 0x09: out += Array("\\t".utf8)
            case 0..<0x20, 0x7f:
                let digits = Array("0123456789abcdef".utf8)
                out += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
        return String(decoding: out, as: UTF8.self)
    }

    /// `{"a": 1, "b": "x"}` from names and values that are JSON already.
    package static func object(_ fields: [(name: String, json: String)]) -> String {
        "{" + fields.map { "\(string($0.name)): \($0.json)" }.joined(separator: ", ") + "}"
    }
}

import JSON
import Testing

@Suite struct JSONTests {
    @Test func readsValues() throws {
        let json = try JSONValue.parse(
            #" {"a": [1, -2, 3.5, 1e3, true, false, null], "b": "x\n\u00e9\ud83d\ude00\/", "c": {}} "#)
        #expect(
            json["a"] == [.integer(1), .integer(-2), .number(3.5), .number(1000), .bool(true), .bool(false), .null])
        #expect(json["b"]?.string == "x\né😀/")
        #expect(json["c"]?.object?.members.isEmpty == true)
        #expect(json["d"] == nil)
        #expect(JSONValue.number(8).int == 8 && JSONValue.number(8.5).int == nil)
        #expect(try JSONValue.parse("18446744073709551616").double == 18446744073709551616)
    }

    @Test(arguments: [
        "", "{", "[1,", "{\"a\"}", "{\"a\":1,}", "[1 2]", "tru", "nul", "01x", "-", "1e999", "\"a", "\"\\x\"",
        "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\u{1}\"", "{} {}", "NaN", "{a:1}", "'a'", "\"\\u12\"", "+1", ".5",
    ])
    func refuses(text: String) {
        #expect(throws: JSONError.self) { try JSONValue.parse(text) }
    }

    /// Python's words for numbers that are not finite are texts, and only where they are asked for.
    @Test func takesPythonWords() throws {
        let text = Array("[NaN, Infinity, -Infinity, -1]".utf8)
        #expect(try JSONValue.parse(text, takesPythonWords: true) == ["NaN", "Infinity", "-Infinity", -1])
        #expect(throws: JSONError.self) { try JSONValue.parse(text) }
        for broken in ["Inf", "-I", "-", "N", "nan", "Infinityx", "+Infinity"] {
            #expect(throws: JSONError.self) { try JSONValue.parse(Array(broken.utf8), takesPythonWords: true) }
        }
    }

    @Test func refusesInvalidUTF8AndDepth() {
        #expect(throws: JSONError.self) { try JSONValue.parse([0x22, 0xFF, 0x22]) }
        #expect(throws: JSONError.self) { try JSONValue.parse([0x22, 0x5C, 0x6E, 0xC3, 0x22]) }
        #expect(throws: JSONError.self) { try JSONValue.parse(String(repeating: "[", count: 100_000)) }
    }

    @Test func refusesMoreValuesThanTheLimit() throws {
        let text = Array("[[],{\"a\":1},2]".utf8)
        #expect(try JSONValue.parse(text, limit: 5).array?.count == 3)
        let error = #expect(throws: JSONError.self) { try JSONValue.parse(text, limit: 4) }
        #expect(error?.message == "more than 4 values")
    }

    @Test func writesWhatItReads() throws {
        let value: JSONValue = [
            "text": "a\"b\\c\n\u{1}é", "list": [1, 2.5, true, nil, [:], []], "order": ["z": 1, "a": 2],
        ]
        #expect(try JSONValue.parse(value.text()) == value)
        #expect(try JSONValue.parse(value.text(pretty: false)) == value)
        #expect(value.text(pretty: false).contains(#""order":{"z":1,"a":2}"#))
    }
}

import Foundation
import JSON
import Testing
import Watch

@Suite struct ScannerTests {
    /// Every number of an object, by name, as the scanner reads it; nil when it refuses the object.
    private func numbers(_ text: String) -> [String: Double?]? {
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBytes { buffer in
            var scanner = ObjectScanner(buffer)
            var found: [String: Double?] = [:]
            while let key = scanner.key() {
                found.updateValue(scanner.number()?.value, forKey: String(decoding: key, as: UTF8.self))
            }
            return scanner.isWhole ? found : nil
        }
    }

    private func isWalked(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { buffer in
            var scanner = ObjectScanner(buffer)
            while scanner.key() != nil { scanner.skip() }
            return scanner.isWhole
        }
    }

    @Test func numbersAreTheNearestToWhatIsWritten() {
        let texts = [
            "0", "-0.0", "1", "0.1", "0.7791343566017284", "1e22", "1e23", "123456789012345678", "9007199254740993",
            "5e-324", "2.2250738585072011e-308", "1.7976931348623157e308", "-3.71933e-05", "0.000000000000000000001",
            "12345678901234567890123", "0.1000000000000000055511151231257827", "1E5", "1.5e+3",
        ]
        for text in texts { #expect(numbers("{\"a\":\(text)}")?["a"] == Double(text), "\(text)") }
        for text in ["1e999", "--1", ".5", "1e", "+1", "nan", "0x10", "1 2", "\"1\"", "[1]"] {
            #expect(numbers("{\"a\":\(text)}") == nil, "\(text)")
        }
        #expect(numbers(" { \"a\" : null , \"b\" : 2 } ") == ["a": nil, "b": 2])
        #expect(numbers("{}") == [:])
        for text in ["", "{", "[]", "{\"a\":1", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "{\"a\":1}}", "{\"a\":1} x", "{,}"]
        {
            #expect(numbers(text) == nil, "\(text)")
        }
    }

    /// Whatever the parser takes for an object, the scanner walks; and no bytes make it read beyond its own.
    @Test func everyObjectOfTheParserIsWalked() {
        let seed = Array(
            #"{"a": [1, {"b": "\"}]"}, -2.5e3], "é\n": null, "c": {"d": [[], {}], "e": true}, "f": 0.5}"#.utf8)
        #expect(isWalked(seed))
        var state: UInt64 = 7
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0...next(3) {
                let place = next(bytes.count)
                switch next(4) {
                case 0: bytes[place] = Array("{}[]\",:\\ 0e-ntf".utf8)[next(15)]
                case 1: bytes[place] = UInt8(next(256))
                case 2: bytes.remove(at: place)
                default: bytes.insert(bytes[next(bytes.count)], at: place)
                }
            }
            let isObject = (try? JSONValue.parse(bytes))?.object != nil
            if isObject { accepted += 1 }
            let walked = isWalked(bytes)
            #expect(walked || !isObject, "\(String(decoding: bytes, as: UTF8.self))")
        }
        #expect(accepted > 500)
    }

    private func scan(_ text: String, limit: Int = 1 << 20, budget: Int = .max) throws -> (
        lines: [String], LineScanner.Report
    ) {
        let fixture = try RunFolderFixture()
        try fixture.write(text, to: fixture.run.metrics)
        var lines: [String] = []
        let report = try LineScanner(limit: limit, budget: budget).scan(fixture.run.metrics) { bytes, offset in
            lines.append(String(decoding: bytes, as: UTF8.self))
            let start = text.utf8.index(text.startIndex, offsetBy: offset)
            #expect(text[start...].utf8.starts(with: bytes))
        }
        return (lines, report)
    }

    @Test func linesAreReadWholeAndInOrder() throws {
        #expect(try scan("").lines == [])
        #expect(try scan("a\n\nb\nunfinished").lines == ["a", "", "b"])
        // Longer than what is read at once.
        let long = String(repeating: "x", count: 3 << 20)
        let read = try scan("a\n\(long)\nb\n", limit: 4 << 20)
        #expect(read.lines.map(\.utf8.count) == [1, 3 << 20, 1] && read.1.tooLong == 0)
        let bounded = try scan("a\n\(long)\nb\n\(String(long.prefix(9000)))\nc\n", limit: 5000)
        #expect(bounded.lines == ["a", "b", "c"] && bounded.1.tooLong == 2)
    }

    @Test func ofALargeFileEvenlySpreadLinesAreRead() throws {
        let text = (0..<100_000).map { "line \($0)\n" }.joined()
        let (lines, report) = try scan(text, budget: 64 * 200)
        #expect(report.isSampled && Set(lines).count == lines.count)
        #expect(lines.first == "line 0" && lines.last == "line 99999" && (700...1500).contains(lines.count))
        let numbers = lines.compactMap { Int($0.dropFirst(5)) }
        #expect(numbers.count == lines.count && numbers == numbers.sorted())
    }

    @Test func linksAreNotFollowed() throws {
        let fixture = try RunFolderFixture()
        try fixture.write("secret\n", to: "\(fixture.run.path)/elsewhere")
        try FileManager.default.createSymbolicLink(
            atPath: fixture.run.metrics, withDestinationPath: "\(fixture.run.path)/elsewhere")
        #expect(throws: (any Error).self) { try LineScanner().scan(fixture.run.metrics) { _, _ in } }
    }
}

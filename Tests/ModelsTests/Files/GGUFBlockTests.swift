import Foundation
import JSON
import Models
import Testing

/// Block formats against the `gguf` Python package's dequantization of random blocks (Tests/Fixtures/gguf), to the bit.
@Suite struct GGUFBlockTests {
    static let cases: [JSONValue] = {
        let file = "\(Fixtures.repository)/Tests/Fixtures/gguf/blocks.json"
        return (try? JSONValue.parse(try Fixtures.read(file)).array) ?? []
    }()

    @Test func findsTheFixtures() { #expect(Self.cases.count == 8) }

    @Test(arguments: cases.indices) func golden(index: Int) throws {
        let value = Self.cases[index]
        let type = try #require(GGUFType(rawValue: UInt32(value["type"]?.int ?? -1)))
        #expect(type.description == value["name"]?.string)
        let digits = Array(try #require(value["bytes"]?.string))
        let bytes = stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...$0 + 1]), radix: 16) ?? 0 }
        let expected = try #require(value["values"]?.array).map { UInt32($0.int ?? 0) }
        var out = [Float](repeating: .nan, count: expected.count)
        out.withUnsafeMutableBufferPointer { out in
            bytes.withUnsafeBytes { type.dequantize($0, into: out) }
        }
        #expect(out.map(\.bitPattern) == expected)
    }
}

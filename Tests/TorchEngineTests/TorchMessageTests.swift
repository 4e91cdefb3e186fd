import JSON
import Models
import Testing
import TorchEngine

@Suite struct TorchMessageTests {
    @Test func comesBackAsItWent() throws {
        var message = TorchMessage(
            "forward", ["x": 1.5, "y": "z"], integers: [("tokens", [1, -2, .max])], floats: [("s", [0.5, -.infinity])])
        message.id = 7
        #expect(try TorchMessage(reading: message.frames) == message)
        #expect(message.frames[0] == [0x4f, 0x50, 0x45, 1])
    }

    @Test func matricesAreThoseOfTheAnswerOrNone() throws {
        func matrices(_ listed: JSONValue) throws -> [AdapterPlaces.Matrix] {
            try TorchMessage("describe", ["matrices": listed]).matrices()
        }
        #expect(
            try matrices([["h.0.c_attn", 12, 4], ["h.0.c_proj", 4, 4]]) == [
                .init(stem: "h.0.c_attn", outputs: 12, inputs: 4), .init(stem: "h.0.c_proj", outputs: 4, inputs: 4),
            ])
        let bad: [JSONValue] = [
            [], "a", [["a", 1]], [["", 1, 1]], [["a", 0, 1]], [["a", 1, -1]], [["a", 1, 1.5]], [["a", 1, 1, 1]],
            [["a", 1, 1], ["a", 1, 1]], [["a", 1_099_511_627_776, 1]], [[1, 1, 1]], [nil],
        ]
        for listed in bad {
            #expect(throws: TorchMessageError.self, "\(listed)") { try matrices(listed) }
        }
    }

    @Test func whatIsNoMessageIsRefused() {
        let magic: [UInt8] = [0x4f, 0x50, 0x45, 1]
        func refused(_ header: String, _ arrays: [[UInt8]] = []) -> Bool {
            do {
                _ = try TorchMessage(reading: [magic, Array(header.utf8)] + arrays)
                return false
            } catch { return true }
        }
        #expect(!refused(#"{"verb": "x", "id": 1, "arrays": [["a", "f32", 1]]}"#, [[0, 0, 0, 0]]))
        for (header, arrays) in [
            ("", []), ("[]", []), ("{", []), (#"{"verb": "x", "arrays": []}"#, []),
            (#"{"verb": 1, "id": 1, "arrays": []}"#, []), (#"{"verb": "x", "id": 1}"#, []),
            (#"{"verb": "x", "id": 1, "arrays": [["a", "f32", 1]]}"#, []),
            (#"{"verb": "x", "id": 1, "arrays": [["a", "f32", 2]]}"#, [[0, 0, 0, 0]]),
            (#"{"verb": "x", "id": 1, "arrays": [["a", "f32", 1]]}"#, [[0, 0, 0, 0, 0]]),
            (#"{"verb": "x", "id": 1, "arrays": [["a", "f32", -1]]}"#, [[]]),
            (#"{"verb": "x", "id": 1, "arrays": [["a", "f64", 1]]}"#, [[0, 0, 0, 0]]),
            (#"{"verb": "x", "id": 1, "arrays": [["a", "f32"]]}"#, [[0, 0, 0, 0]]),
            (#"{"verb": "x", "id": 1, "arrays": []}"#, [[0, 0, 0, 0]]),
        ] as [(String, [[UInt8]])] {
            #expect(refused(header, arrays), "\(header)")
        }
        #expect(throws: TorchMessageError.self) { try TorchMessage(reading: []) }
        #expect(throws: TorchMessageError.self) {
            try TorchMessage(reading: [[0x4f, 0x50, 0x45, 2], Array("{}".utf8)])
        }
    }
}

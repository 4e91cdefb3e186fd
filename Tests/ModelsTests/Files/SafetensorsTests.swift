import Glibc
import Models
import TestSupport
import Testing

@Suite struct SafetensorsTests {
    static func file(_ header: String, data: Int) -> [UInt8] {
        var bytes = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
        bytes += Array(header.utf8)
        bytes += [UInt8](repeating: 0, count: data)
        return bytes
    }

    /// Opens the bytes as a file and reads every tensor.
    static func readAll(_ bytes: [UInt8], in folder: String) throws {
        let path = folder + "/x.safetensors"
        try Fixtures.write(bytes, to: path)
        let file = try SafetensorsFile.open(path)
        for name in file.names {
            _ = try? file.floats(name)
            _ = try? file.int32s(name)
        }
    }

    static let good =
        #"{"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"#
        + #""i":{"dtype":"I64","shape":[2],"data_offsets":[16,32]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[32,38]},"#
        + #""h":{"dtype":"F16","shape":[1],"data_offsets":[38,40]},"e":{"dtype":"F32","shape":[0],"data_offsets":[40,40]}}"#

    @Test func writesWhatItReads() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/a.safetensors"
            let floats: [Float] = [1, -2.5, .infinity, 0x1p-140]
            let ints: [Int32] = [-1, 7]
            try floats.withUnsafeBytes { f in
                try ints.withUnsafeBytes { i in
                    try SafetensorsWriter.write(
                        to: path,
                        [
                            (.init("f", .f32, [2, 2]), f), (.init("none", .f32, [0, 4]), .init(start: nil, count: 0)),
                            (.init("i\"é", .i32, [2]), i),
                        ])
                }
            }
            let file = try SafetensorsFile.open(path)
            #expect(file.names == ["f", "none", "i\"é"] && file.metadata == ["format": "pt"])
            #expect(try file.floats("f") == floats)
            #expect(try file.int32s("i\"é") == ints)
            #expect(try file.entry("f").shape == [2, 2])
            #expect(throws: ModelError.self) { try file.floats("i\"é") }
            #expect(throws: ModelError.self) { try file.entry("g") }
            // Tensors that were announced and not given: no file.
            let other = folder + "/b.safetensors"
            #expect(throws: ModelError.self) {
                var writer = try SafetensorsWriter(other, entries: [.init("x", .f32, [2])])
                try floats.withUnsafeBytes { try writer.append(.init(rebasing: $0[0..<4])) }
                try writer.finish()
            }
            #expect(!Fixtures.exists(other))
        }
    }

    @Test func bf16RoundsToNearestEven() throws {
        try withTemporaryFolder { folder in
            let values: [Float] = [
                1, 1 + 0x1p-8, 1 + 0x1.8p-7, 1 + 0x1.01p-8, -3.14159, .infinity, 0x1p-133, .greatestFiniteMagnitude,
            ]
            let path = folder + "/b.safetensors"
            var writer = try SafetensorsWriter(path, entries: [.init("b", .bf16, [values.count])])
            try values.withUnsafeBufferPointer { try writer.append(floats: $0, as: .bf16) }
            try writer.finish()
            let expected = values.map { value -> Float in
                // The nearer neighbour, the even one of two equally near.
                let low = Float(bitPattern: value.bitPattern & 0xFFFF_0000)
                guard value.isFinite, low != value else { return value }
                let high = Float(bitPattern: (value.bitPattern & 0xFFFF_0000) &+ 0x1_0000)
                let (below, above) = (Double(value.magnitude) - Double(low.magnitude), Double(value.ulp) * 65536)
                if below * 2 == above { return low.bitPattern >> 16 & 1 == 0 ? low : high }
                return below * 2 < above ? low : high
            }
            #expect(try SafetensorsFile.open(path).floats("b") == expected)
        }
    }

    @Test func everyTruncationIsRefused() throws {
        try withTemporaryFolder { folder in
            let bytes = Self.file(Self.good, data: 40)
            try Self.readAll(bytes, in: folder)
            for count in 0..<bytes.count {
                #expect(throws: ModelError.self) { try Self.readAll(Array(bytes[0..<count]), in: folder) }
            }
            #expect(throws: ModelError.self) { try Self.readAll(bytes + [0], in: folder) }
        }
    }

    @Test func noCorruptionCrashes() throws {
        try withTemporaryFolder { folder in
            let bytes = Self.file(Self.good, data: 40)
            for position in 0..<bytes.count {
                for byte: UInt8 in [0x39, 0xFF, bytes[position] ^ 1] {
                    var corrupt = bytes
                    corrupt[position] = byte
                    // Either it is refused or every tensor can be read.
                    do { try Self.readAll(corrupt, in: folder) } catch is ModelError {}
                }
            }
        }
    }

    @Test(arguments: [
        (#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, "needs 8"),
        (#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 4, "outside"),
        (#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8, "outside"),
        (#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}"#, 8, "outside"),
        (#"{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}"#, 0, "shape"),
        (#"{"w":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,0]}}"#, 0, "shape"),
        (#"{"w":{"dtype":"F32","shape":[0,4611686018427387904,8],"data_offsets":[0,0]}}"#, 0, "beyond any real one"),
        (#"{"w":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}"#, 1, "F4"),
        (#"{"w":{"shape":[2],"data_offsets":[0,1]}}"#, 1, "dtype"),
        (
            #"{"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"v":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
            3, "overlaps"
        ),
        (#"{"w":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#, 3, "belong to none"),
        (
            #"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
            2, "twice"
        ),
        (#"[1]"#, 0, "not a JSON object"),
        (#"{"w""#, 0, "not valid JSON"),
    ]) func namesWhatIsWrong(header: String, data: Int, part: String) throws {
        try withTemporaryFolder { folder in
            let error = #expect(throws: ModelError.self) { try Self.readAll(Self.file(header, data: data), in: folder) }
            #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
            #expect(error?.message.contains("x.safetensors") == true)
        }
    }

    @Test func hugeAndInvalidHeaders() throws {
        try withTemporaryFolder { folder in
            var huge = Self.file("{}", data: 0)
            huge.replaceSubrange(0..<8, with: [UInt8](repeating: 0xFF, count: 8))
            #expect(throws: ModelError.self) { try Self.readAll(huge, in: folder) }
            var long = Self.file("{}", data: 0)
            long[3] = 5
            #expect(throws: ModelError.self) { try Self.readAll(long, in: folder) }
            let notText = Self.file("{\"a\": \"??\"}", data: 0).map { $0 == 0x3F ? 0xFF : $0 }
            #expect(throws: ModelError.self) { try Self.readAll(notText, in: folder) }
            #expect(throws: ModelError.self) { try SafetensorsFile.open(folder + "/none.safetensors") }
            // Nobody will ever write into this pipe.
            #expect(mkfifo(folder + "/pipe.safetensors", 0o600) == 0)
            #expect(throws: ModelError.self) { try SafetensorsFile.open(folder + "/pipe.safetensors") }
            #expect(throws: ModelError.self) { try SafetensorsFile.open(folder) }
        }
    }
}

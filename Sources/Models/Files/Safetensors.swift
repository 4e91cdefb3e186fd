import Files
import JSON

/// An element type of the safetensors format.
package enum SafetensorsType: String, Sendable, CaseIterable {
    case bool = "BOOL"
    case u8 = "U8"
    case i8 = "I8"
    case f8E5M2 = "F8_E5M2"
    case f8E4M3 = "F8_E4M3"
    case i16 = "I16"
    case u16 = "U16"
    case f16 = "F16"
    case bf16 = "BF16"
    case i32 = "I32"
    case u32 = "U32"
    case f32 = "F32"
    case f64 = "F64"
    case i64 = "I64"
    case u64 = "U64"

    package var byteCount: Int {
        switch self {
        case .bool, .u8, .i8, .f8E5M2, .f8E4M3: 1
        case .i16, .u16, .f16, .bf16: 2
        case .i32, .u32, .f32: 4
        case .f64, .i64, .u64: 8
        }
    }
}

/// A tensor of a safetensors file.
package struct SafetensorsEntry: Sendable, Equatable {
    package let name: String
    package let type: SafetensorsType
    package let shape: [Int]
    /// Where its bytes stand in the file.
    package let range: Range<Int>

    /// Number of values.
    package var count: Int { range.count / type.byteCount }
}

/// A memory-mapped safetensors file. Opening checks every length and offset, so that reading a tensor cannot fail
/// for any content of the file.
///
/// Format: 8 bytes little-endian header length, a JSON header, then the tensors' bytes without gaps
/// (github.com/huggingface/safetensors).
package struct SafetensorsFile: Sendable {
    package let path: String
    /// Tensors in the order of their bytes.
    package let entries: [SafetensorsEntry]
    /// The header's `__metadata__`.
    package let metadata: [String: String]
    private let index: [String: Int]
    private let file: MappedFile

    /// The reference implementation's bound on the header.
    static let maximumHeaderByteCount = 100_000_000

    package static func open(_ path: String) throws -> SafetensorsFile { try SafetensorsFile(path) }

    private init(_ path: String) throws {
        self.path = path
        file = try FileSystem.map(path)
        func malformed(_ message: String) -> ModelError {
            ModelError(.malformed, "\(path): \(message); the file is truncated or corrupt, get it again")
        }
        let bytes = file.bytes
        guard bytes.count >= 8 else { throw malformed("\(bytes.count) bytes are too few for a safetensors file") }
        let headerLength = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard headerLength <= UInt64(Self.maximumHeaderByteCount) else {
            throw malformed("its header length, \(headerLength), is beyond any real one")
        }
        let dataStart = 8 + Int(headerLength)
        guard dataStart <= bytes.count else {
            throw malformed("its header of \(headerLength) bytes goes past the end of the file (\(bytes.count) bytes)")
        }
        let header: JSONValue
        do {
            header = try JSONValue.parse(UnsafeRawBufferPointer(rebasing: bytes[8..<dataStart]))
        } catch {
            throw malformed("its header is \(error)")
        }
        guard let members = header.object?.members else { throw malformed("its header is not a JSON object") }

        var entries: [SafetensorsEntry] = []
        var metadata: [String: String] = [:]
        entries.reserveCapacity(members.count)
        for member in members {
            if member.key == "__metadata__" {
                for pair in member.value.object?.members ?? [] { metadata[pair.key] = pair.value.string ?? "" }
                continue
            }
            entries.append(
                try Self.entry(member, dataStart: dataStart, dataCount: bytes.count - dataStart, error: malformed))
        }
        entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
        var end = dataStart
        for entry in entries {
            guard entry.range.lowerBound >= end else {
                throw malformed("tensor '\(entry.name)' overlaps another")
            }
            guard entry.range.lowerBound == end else {
                throw malformed("\(entry.range.lowerBound - end) bytes before tensor '\(entry.name)' belong to none")
            }
            end = entry.range.upperBound
        }
        guard end == bytes.count else { throw malformed("\(bytes.count - end) bytes follow the last tensor") }
        var index: [String: Int] = [:]
        for (position, entry) in entries.enumerated() {
            guard index.updateValue(position, forKey: entry.name) == nil else {
                throw malformed("tensor '\(entry.name)' stands there twice")
            }
        }
        self.entries = entries
        self.metadata = metadata
        self.index = index
    }

    private static func entry(
        _ member: JSONObject.Member, dataStart: Int, dataCount: Int, error: (String) -> ModelError
    ) throws -> SafetensorsEntry {
        let name = member.key
        guard let typeName = member.value["dtype"]?.string else { throw error("tensor '\(name)' has no dtype") }
        guard let type = SafetensorsType(rawValue: typeName) else {
            throw error("tensor '\(name)' has the unknown dtype '\(typeName)'")
        }
        guard let dimensions = member.value["shape"]?.array else { throw error("tensor '\(name)' has no shape") }
        var byteCount = type.byteCount
        // The product without zeros must not overflow either: whoever multiplies a shape may meet its zero last.
        var bound = byteCount
        var shape: [Int] = []
        for dimension in dimensions {
            guard case .integer(let size) = dimension, size >= 0 else {
                throw error("the shape of tensor '\(name)' is not a list of sizes")
            }
            let (product, overflow) = bound.multipliedReportingOverflow(by: max(1, size))
            guard !overflow else { throw error("the shape of tensor '\(name)' is beyond any real one") }
            bound = product
            byteCount *= size
            shape.append(size)
        }
        guard let offsets = member.value["data_offsets"]?.array, offsets.count == 2,
            case .integer(let begin) = offsets[0], case .integer(let end) = offsets[1]
        else { throw error("tensor '\(name)' has no data_offsets") }
        guard begin >= 0, begin <= end, end <= dataCount else {
            throw error("tensor '\(name)' reaches from \(begin) to \(end), outside the file's \(dataCount) data bytes")
        }
        guard end - begin == byteCount else {
            throw error("tensor '\(name)' has \(end - begin) bytes where \(typeName) \(shape) needs \(byteCount)")
        }
        return SafetensorsEntry(name: name, type: type, shape: shape, range: dataStart + begin..<dataStart + end)
    }

    /// Names in the order of their bytes.
    package var names: [String] { entries.map(\.name) }

    package func contains(_ name: String) -> Bool { index[name] != nil }

    /// The tensor called `name`; throws a ``ModelError`` that names file and tensor when there is none.
    package func entry(_ name: String) throws -> SafetensorsEntry {
        guard let position = index[name] else { throw ModelError(.tensor, "\(path): no tensor '\(name)'") }
        return entries[position]
    }

    /// Calls `body` with the bytes of a tensor, little-endian as stored, at any alignment.
    package func withBytes<R>(_ name: String, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
        let entry = try entry(name)
        return try file.withBytes(entry.range, body)
    }

    /// Reads a tensor of floats as f32 into `destination`, which has room for exactly its values.
    package func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws {
        let count = try entry(name).count
        guard destination.count == count else {
            throw ModelError(
                .tensor, "\(path): tensor '\(name)' has \(count) values where \(destination.count) are wanted")
        }
        try read(name, at: 0, into: destination)
    }

    /// Reads as many values of a tensor of floats as `destination` has room for, from the value at `offset` on.
    func read(_ name: String, at offset: Int, into destination: UnsafeMutableBufferPointer<Float>) throws {
        let entry = try entry(name)
        guard offset >= 0, offset <= entry.count, destination.count <= entry.count - offset else {
            throw ModelError(
                .tensor,
                "\(path): tensor '\(name)' has \(entry.count) values, too few for \(destination.count) from \(offset) on"
            )
        }
        try withBytes(name) { whole in
            let size = entry.type.byteCount
            let bytes = UnsafeRawBufferPointer(rebasing: whole[(offset * size)..<((offset + destination.count) * size)])
            switch entry.type {
            case .f32: UnsafeMutableRawBufferPointer(destination).copyMemory(from: bytes)
            case .f16: Quantization.floats(fromF16: bytes, into: destination)
            case .bf16: Quantization.floats(fromBF16: bytes, into: destination)
            default:
                throw ModelError(
                    .unsupported, "\(path): tensor '\(name)' is \(entry.type.rawValue); F32, F16 and BF16 are read")
            }
        }
    }

    /// The values of a tensor of floats.
    package func floats(_ name: String) throws -> [Float] {
        let count = try entry(name).count
        return try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            try read(name, into: UnsafeMutableBufferPointer(rebasing: buffer[0..<count]))
            initialized = count
        }
    }

    /// The values of a tensor of integers (I32, I64, U8, BOOL) that fit 32 bits.
    package func int32s(_ name: String) throws -> [Int32] {
        let entry = try entry(name)
        return try withBytes(name) { bytes in
            switch entry.type {
            case .i32:
                return (0..<entry.count).map {
                    Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self))
                }
            case .i64:
                return try (0..<entry.count).map {
                    let value = Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 8, as: Int64.self))
                    guard let narrow = Int32(exactly: value) else {
                        throw ModelError(.malformed, "\(path): tensor '\(name)' holds \(value), beyond 32 bits")
                    }
                    return narrow
                }
            case .u8, .bool: return bytes.map(Int32.init)
            default:
                throw ModelError(
                    .unsupported, "\(path): tensor '\(name)' is \(entry.type.rawValue); I32, I64 and U8 are read")
            }
        }
    }
}

import Files

/// A metadata value of a GGUF file.
enum GGUFValue: Sendable, Equatable {
    case integer(Int64)
    /// A value beyond Int64; smaller ones are integers.
    case unsigned(UInt64)
    case float(Double)
    case bool(Bool)
    case string(String)
    case integers([Int64])
    case floats([Double])
    case bools([Bool])
    case strings([String])
}

/// A tensor of a GGUF file.
package struct GGUFTensor: Sendable, Equatable {
    package let name: String
    package let type: GGUFType
    /// Rows first, as everywhere else here (the file has the fastest dimension first).
    let shape: [Int]
    /// Where its bytes stand in its file.
    let range: Range<Int>
    /// The index of the file that holds it, where a model has several.
    var part = 0

    package var count: Int { shape.reduce(1, *) }
}

/// One memory-mapped GGUF file, version 2 or 3, little-endian: a whole model or a part of one. Opening checks every
/// count, length and offset.
///
/// Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md
package struct GGUFPart: Sendable {
    let path: String
    let metadata: [String: GGUFValue]
    let tensors: [GGUFTensor]
    let file: MappedFile

    /// Metadata of real files, of which tokens and merges are most, have some 20 MB.
    static let maximumMetadataByteCount = 1 << 28

    package init(_ path: String) throws {
        self.path = path
        file = try FileSystem.map(path)
        var reader = GGUFReader(bytes: file.bytes, path: path)
        guard file.bytes.count >= 24 else { throw reader.malformed("\(file.bytes.count) bytes are too few") }
        guard try reader.u32("magic") == 0x4655_4747 else {
            throw ModelError(.malformed, "\(path): not a GGUF file (it does not start with GGUF)")
        }
        let version = try reader.u32("version")
        guard version == 2 || version == 3 else {
            let isBigEndian = version.byteSwapped == 2 || version.byteSwapped == 3
            throw ModelError(
                .unsupported,
                "\(path): GGUF version \(isBigEndian ? "\(version.byteSwapped), big-endian," : "\(version)") is not "
                    + "supported; little-endian 2 and 3 are")
        }
        // A tensor takes at least 24 bytes of the header, a key 13.
        let tensorCount = try reader.count("tensor count", elementByteCount: 24)
        let keyCount = try reader.count("key count", elementByteCount: 13)
        var metadata: [String: GGUFValue] = [:]
        for _ in 0..<keyCount {
            // A value takes up to eight times the bytes of the file: a header must not be a file of its own.
            guard reader.position <= Self.maximumMetadataByteCount else {
                throw reader.malformed("its metadata are beyond any real ones")
            }
            let key = try reader.string("a key")
            guard metadata.updateValue(try reader.value(key), forKey: key) == nil else {
                throw reader.malformed("key '\(key)' stands there twice")
            }
        }
        self.metadata = metadata
        tensors = try Self.tensors(&reader, count: tensorCount, metadata: metadata)
    }

    private static func tensors(
        _ reader: inout GGUFReader, count: Int, metadata: [String: GGUFValue]
    ) throws -> [GGUFTensor] {
        var alignment = 32
        if let value = metadata["general.alignment"] {
            guard case .integer(let given) = value, given >= 8, given <= 1 << 20, given & (given - 1) == 0 else {
                throw reader.malformed("general.alignment is not a sensible power of two")
            }
            alignment = Int(given)
        }
        var infos: [(name: String, type: GGUFType, shape: [Int], byteCount: Int, offset: Int)] = []
        var names: Set<String> = []
        for _ in 0..<count {
            let name = try reader.string("a tensor's name")
            guard names.insert(name).inserted else { throw reader.malformed("tensor '\(name)' stands there twice") }
            let rank = try reader.u32("tensor '\(name)'")
            guard (1...4).contains(rank) else { throw reader.malformed("tensor '\(name)' has \(rank) dimensions") }
            var dimensions: [Int] = []
            for _ in 0..<rank { dimensions.append(try reader.size("tensor '\(name)'")) }
            let code = try reader.u32("tensor '\(name)'")
            guard let type = GGUFType(rawValue: code) else {
                throw ModelError(
                    .unsupported,
                    "\(reader.path): tensor '\(name)' is \(GGUFType.name(of: code)), which is not supported; "
                        + GGUFType.list + " are")
            }
            guard let byteCount = type.byteCount(dimensions) else {
                throw reader.malformed("tensor '\(name)' has dimensions \(dimensions), wrong for \(type)")
            }
            let offset = try reader.size("tensor '\(name)'")
            guard offset % alignment == 0 else { throw reader.malformed("tensor '\(name)' is not aligned") }
            infos.append((name, type, dimensions.reversed(), byteCount, offset))
        }
        let start = (reader.position + alignment - 1) / alignment * alignment
        let available = max(0, reader.bytes.count - start)
        var tensors: [GGUFTensor] = []
        for info in infos {
            guard info.offset <= available, info.byteCount <= available - info.offset else {
                throw reader.malformed(
                    "tensor '\(info.name)' reaches past the end of the file (\(reader.bytes.count) bytes)")
            }
            let lower = start + info.offset
            tensors.append(
                GGUFTensor(
                    name: info.name, type: info.type, shape: info.shape, range: lower..<lower + info.byteCount))
        }
        var end = start
        for tensor in tensors.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
            guard tensor.range.lowerBound >= end else {
                throw reader.malformed("tensor '\(tensor.name)' overlaps another")
            }
            end = tensor.range.upperBound
        }
        return tensors
    }
}

/// Reads the header of a GGUF file; every step checks that the bytes are there.
struct GGUFReader {
    let bytes: UnsafeRawBufferPointer
    let path: String
    var position = 0

    init(bytes: UnsafeRawBufferPointer, path: String) {
        self.bytes = bytes
        self.path = path
    }

    func malformed(_ message: String) -> ModelError {
        ModelError(.malformed, "\(path): \(message); the file is truncated or corrupt, get it again")
    }

    private mutating func load<T: FixedWidthInteger>(_ type: T.Type, _ what: String) throws -> T {
        guard bytes.count - position >= MemoryLayout<T>.size else { throw malformed("it ends within \(what)") }
        defer { position += MemoryLayout<T>.size }
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: T.self))
    }

    mutating func u32(_ what: String) throws -> UInt32 { try load(UInt32.self, what) }

    /// A size or offset; those beyond 48 bits are no file's.
    mutating func size(_ what: String) throws -> Int {
        let value = try load(UInt64.self, what)
        guard value < 1 << 48 else { throw malformed("\(what) has a size of \(value)") }
        return Int(value)
    }

    /// A number of things of at least `elementByteCount` bytes each, which must fit the rest of the file.
    mutating func count(_ what: String, elementByteCount: Int) throws -> Int {
        let value = try load(UInt64.self, what)
        guard value <= UInt64((bytes.count - position) / elementByteCount) else {
            throw malformed("\(what) \(value) is more than the file can hold")
        }
        return Int(value)
    }

    mutating func string(_ what: String) throws -> String {
        let length = try load(UInt64.self, what)
        guard length <= UInt64(bytes.count - position) else { throw malformed("it ends within \(what)") }
        let slice = bytes[position..<position + Int(length)]
        guard let text = String(validating: slice, as: UTF8.self) else { throw malformed("\(what) is not valid UTF-8") }
        position += Int(length)
        return text
    }

    mutating func value(_ key: String) throws -> GGUFValue {
        let what = "the value of '\(key)'"
        let code = try u32(what)
        guard code == 9 else { return try scalar(code, what) }
        let element = try u32(what)
        let width = [0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 8: 8, 10: 8, 11: 8, 12: 8][element]
        guard let width else { throw malformed("\(what) is a list of the unknown type \(element)") }
        let count = try count(what, elementByteCount: width)
        guard count * width <= GGUFPart.maximumMetadataByteCount else {
            throw malformed("\(what) has \(count) elements, beyond any real one")
        }
        var integers: [Int64] = []
        var floats: [Double] = []
        var bools: [Bool] = []
        var strings: [String] = []
        if element == 8 {
            strings.reserveCapacity(count)
            for _ in 0..<count { strings.append(try string(what)) }
            return .strings(strings)
        }
        for _ in 0..<count {
            switch try scalar(element, what) {
            case .integer(let value): integers.append(value)
            case .unsigned: throw malformed("\(what) holds a number beyond 63 bits")
            case .float(let value): floats.append(value)
            case .bool(let value): bools.append(value)
            default: throw malformed("\(what) is a list of the unknown type \(element)")
            }
        }
        switch element {
        case 6, 12: return .floats(floats)
        case 7: return .bools(bools)
        default: return .integers(integers)
        }
    }

    private mutating func scalar(_ code: UInt32, _ what: String) throws -> GGUFValue {
        switch code {
        case 0: return .integer(Int64(try load(UInt8.self, what)))
        case 1: return .integer(Int64(try load(Int8.self, what)))
        case 2: return .integer(Int64(try load(UInt16.self, what)))
        case 3: return .integer(Int64(try load(Int16.self, what)))
        case 4: return .integer(Int64(try load(UInt32.self, what)))
        case 5: return .integer(Int64(try load(Int32.self, what)))
        case 6: return .float(Double(Float(bitPattern: try load(UInt32.self, what))))
        case 7: return .bool(try load(UInt8.self, what) != 0)
        case 8: return .string(try string(what))
        case 10:
            let value = try load(UInt64.self, what)
            return Int64(exactly: value).map(GGUFValue.integer) ?? .unsigned(value)
        case 11: return .integer(try load(Int64.self, what))
        case 12: return .float(Double(bitPattern: try load(UInt64.self, what)))
        default: throw malformed("\(what) has the unknown type \(code)")
        }
    }
}

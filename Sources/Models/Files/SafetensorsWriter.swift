import Files
import JSON

/// Writes a safetensors file tensor by tensor; it appears under its name when ``finish()`` has put it on disk.
package struct SafetensorsWriter: ~Copyable {
    /// A tensor to come.
    package struct Entry: Sendable, Equatable {
        package let name: String
        package let type: SafetensorsType
        package let shape: [Int]

        package init(_ name: String, _ type: SafetensorsType, _ shape: [Int]) {
            self.name = name
            self.type = type
            self.shape = shape
        }

        package var byteCount: Int { shape.reduce(type.byteCount, *) }
    }

    private var file: AtomicFile
    private let entries: [Entry]
    private var next = 0
    private var missing = 0

    /// Starts a file that will hold `entries` in this order. `metadata` goes to `__metadata__`; transformers wants
    /// `format: pt`.
    package init(_ path: String, entries: [Entry], metadata: [String: String] = ["format": "pt"]) throws {
        let file = try FileSystem.begin(path)
        var header = JSONObject()
        if !metadata.isEmpty {
            header.members.append(
                .init(
                    key: "__metadata__",
                    value: .object(
                        JSONObject(
                            metadata.sorted { $0.key < $1.key }.map { .init(key: $0.key, value: .string($0.value)) }))))
        }
        var offset = 0
        for entry in entries {
            header.members.append(
                .init(
                    key: entry.name,
                    value: [
                        "dtype": .string(entry.type.rawValue), "shape": .array(entry.shape.map(JSONValue.integer)),
                        "data_offsets": [.integer(offset), .integer(offset + entry.byteCount)],
                    ]))
            offset += entry.byteCount
        }
        var text = Array(JSONValue.object(header).text(pretty: false).utf8)
        // Aligned data, as the reference implementation writes it.
        while text.count % 64 != 56 { text.append(UInt8(ascii: " ")) }
        do {
            try withUnsafeBytes(of: UInt64(text.count).littleEndian) { bytes throws(FileError) in
                try file.append(bytes)
            }
            try file.append(text)
        } catch {
            throw ModelError(error)
        }
        self.entries = entries
        missing = entries.first?.byteCount ?? 0
        self.file = file
    }

    /// Adds bytes (little-endian) of the tensor whose turn it is; a tensor may come in several pieces.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            while missing == 0, next + 1 < entries.count {
                next += 1
                missing = entries[next].byteCount
            }
            guard missing > 0 else {
                throw ModelError(.invalidArgument, "\(file.path): more bytes than its tensors have were given")
            }
            let part = rest.prefix(missing)
            do { try file.append(UnsafeRawBufferPointer(rebasing: part)) } catch { throw ModelError(error) }
            missing -= part.count
            rest = rest.dropFirst(part.count)
        }
    }

    /// Adds f32 values to a tensor of type F32 or BF16 (rounded to nearest even).
    package mutating func append(floats: UnsafeBufferPointer<Float>, as type: SafetensorsType) throws {
        switch type {
        case .f32: try append(UnsafeRawBufferPointer(floats))
        case .bf16:
            // A piece at a time: the rounded copy stays small.
            let pieceCount = 1 << 20
            var piece = [UInt16](repeating: 0, count: min(pieceCount, floats.count))
            var start = 0
            while start < floats.count {
                let count = min(pieceCount, floats.count - start)
                piece.withUnsafeMutableBufferPointer { buffer in
                    Quantization.bf16(
                        from: UnsafeBufferPointer(rebasing: floats[start..<start + count]),
                        into: UnsafeMutableBufferPointer(rebasing: buffer[0..<count]))
                }
                try piece.withUnsafeBytes { try append(UnsafeRawBufferPointer(rebasing: $0[0..<count * 2])) }
                start += count
            }
        default: throw ModelError(.invalidArgument, "\(file.path): floats are written as F32 or BF16")
        }
    }

    /// Flushes to disk and gives the file its name. Throws when tensors are incomplete.
    package mutating func finish() throws {
        let complete = missing == 0 && entries.dropFirst(next + 1).allSatisfy { $0.byteCount == 0 }
        guard complete else {
            throw ModelError(.invalidArgument, "\(file.path): tensor '\(entries[next].name)' was not given whole")
        }
        do { try file.commit() } catch { throw ModelError(error) }
    }

    /// Writes a whole file at once.
    package static func write(
        to path: String, _ tensors: [(entry: Entry, bytes: UnsafeRawBufferPointer)],
        metadata: [String: String] = ["format": "pt"]
    ) throws {
        var writer = try SafetensorsWriter(path, entries: tensors.map(\.entry), metadata: metadata)
        for tensor in tensors {
            guard tensor.bytes.count == tensor.entry.byteCount else {
                throw ModelError(
                    .invalidArgument,
                    "\(path): tensor '\(tensor.entry.name)' needs \(tensor.entry.byteCount) bytes, "
                        + "\(tensor.bytes.count) were given")
            }
            try writer.append(tensor.bytes)
        }
        try writer.finish()
    }
}

import JSON

/// A request to the torch engine, or its answer: a verb, fields, and arrays, in frames as docs/torch.md has them.
package struct TorchMessage: Sendable, Equatable {
    /// Numbers of one type.
    package enum Values: Sendable, Equatable {
        case integers([Int32])
        case floats([Float])

        var typeName: String {
            switch self {
            case .integers: "i32"
            case .floats: "f32"
            }
        }

        var count: Int {
            switch self {
            case .integers(let values): values.count
            case .floats(let values): values.count
            }
        }

        /// Little-endian, as every machine of this project is.
        fileprivate var bytes: [UInt8] {
            switch self {
            case .integers(let values): values.withUnsafeBytes { Array($0) }
            case .floats(let values): values.withUnsafeBytes { Array($0) }
            }
        }
    }

    /// An array of the message.
    package struct NamedValues: Sendable, Equatable {
        package var name: String
        package var values: Values
    }

    package var verb: String
    /// Answers repeat it.
    package var id = 0
    package var fields: JSONObject
    package var arrays: [NamedValues]

    package init(
        _ verb: String, _ fields: JSONObject = [:], integers: [(String, [Int32])] = [], floats: [(String, [Float])] = []
    ) {
        self.verb = verb
        self.fields = fields
        arrays =
            integers.map { NamedValues(name: $0, values: .integers($1)) }
            + floats.map { NamedValues(name: $0, values: .floats($1)) }
    }

    package static let magic = Array("OPE".utf8) + [1]
    private static let maximumHeaderByteCount = 4 << 20
    private static let maximumArrayCount = 8

    package var frames: [[UInt8]] {
        var header = fields
        header["verb"] = .string(verb)
        header["id"] = .integer(id)
        header["arrays"] = .array(
            arrays.map { [.string($0.name), .string($0.values.typeName), .integer($0.values.count)] })
        return [Self.magic, Array(JSONValue.object(header).text(pretty: false).utf8)] + arrays.map(\.values.bytes)
    }

    /// Reads what an engine sent.
    /// - Throws: ``TorchMessageError`` for anything else.
    package init(reading frames: [[UInt8]]) throws(TorchMessageError) {
        guard frames.count >= 2, frames[0] == Self.magic else {
            throw TorchMessageError("it is of another version; install the package that came with this opd")
        }
        guard frames.count <= 2 + Self.maximumArrayCount, frames[1].count <= Self.maximumHeaderByteCount else {
            throw TorchMessageError("it is too long")
        }
        let header: JSONValue
        do { header = try JSONValue.parse(frames[1]) } catch { throw TorchMessageError("its header is no JSON") }
        guard var fields = header.object, let verb = fields["verb"]?.string, let id = fields["id"]?.int,
            let listed = fields["arrays"]?.array, listed.count == frames.count - 2
        else { throw TorchMessageError("its header lacks a verb, an id, or the arrays that came with it") }
        arrays = []
        for (entry, bytes) in zip(listed, frames[2...]) {
            guard let parts = entry.array, parts.count == 3, let name = parts[0].string, let count = parts[2].int,
                count >= 0, count == bytes.count / 4, bytes.count % 4 == 0
            else { throw TorchMessageError("an array is not what its header says") }
            let words = bytes.withUnsafeBytes { bytes in
                (0..<count).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self) }
            }
            switch parts[1].string {
            case "i32": arrays.append(NamedValues(name: name, values: .integers(words.map { Int32(bitPattern: $0) })))
            case "f32": arrays.append(NamedValues(name: name, values: .floats(words.map { Float(bitPattern: $0) })))
            default: throw TorchMessageError("an array is of a type that is not known")
            }
        }
        for name in ["verb", "id", "arrays"] { fields[name] = nil }
        self.verb = verb
        self.id = id
        self.fields = fields
    }

    /// An array that has to be there, of this length.
    func floats(_ name: String, count: Int) throws(TorchMessageError) -> [Float] {
        guard case .floats(let values)? = array(name), values.count == count else { throw lacks(name, count) }
        return values
    }

    /// An array that has to be there; nil takes any length.
    func integers(_ name: String, count: Int? = nil) throws(TorchMessageError) -> [Int32] {
        guard case .integers(let values)? = array(name), values.count == count ?? values.count else {
            throw lacks(name, count)
        }
        return values
    }

    private func array(_ name: String) -> Values? { arrays.first { $0.name == name }?.values }

    private func lacks(_ name: String, _ count: Int?) -> TorchMessageError {
        TorchMessageError("the answer to \(verb) has not \(count.map(String.init) ?? "the") numbers '\(name)'")
    }
}

/// Why frames are no message of an engine.
package struct TorchMessageError: Error, CustomStringConvertible, Sendable, Equatable {
    package let description: String
    init(_ description: String) { self.description = description }
}

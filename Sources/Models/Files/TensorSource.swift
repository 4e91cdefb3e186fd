import Files

/// Where a model's tensors come from, under their Hugging Face names.
protocol TensorSource: Sendable {
    /// The names of all tensors, in the order of the files.
    var names: [String] { get }
    /// "F32", "BF16", "Q4_1": the type of most of the weights.
    var storedType: String { get }
    /// Bytes on disk.
    var byteCount: Int { get }
    func shape(of name: String) -> [Int]?
    /// The type of one tensor, for listings.
    func type(of name: String) -> String?
    /// Reads as f32; `destination` has room for exactly the tensor's values.
    func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws
}

/// No weights at all: of a folder that only tells how a model reads text.
struct NoTensors: TensorSource {
    var names: [String] { [] }
    var storedType: String { "none" }
    var byteCount: Int { 0 }
    func shape(of name: String) -> [Int]? { nil }
    func type(of name: String) -> String? { nil }
    func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws {
        throw ModelError(.tensor, "no tensor '\(name)': this folder has no weights")
    }
}

/// The type that holds the most values.
func commonType(_ tensors: some Sequence<(type: String, count: Int)>) -> String {
    var counts: [String: Int] = [:]
    for tensor in tensors { counts[tensor.type, default: 0] += tensor.count }
    return counts.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? "none"
}

/// The weights of a Hugging Face folder: model.safetensors, or shards with model.safetensors.index.json.
struct SafetensorsSource: TensorSource {
    private let shards: [SafetensorsFile]
    /// The shard of every tensor, and its name there.
    private let index: [String: (shard: Int, stored: String)]
    let names: [String]
    let storedType: String
    let byteCount: Int
    /// Parts of a model of several parts that are not its text part, sorted.
    let leftOut: [String]

    /// - Parameter isTextPart: whether the folder has a model of several parts, of which the text part is read.
    init(folder: String, isTextPart: Bool = false) throws {
        let single = folder.appendingPath("model.safetensors")
        let indexPath = folder.appendingPath("model.safetensors.index.json")
        var shards: [SafetensorsFile] = []
        if FileSystem.isFile(single) {
            shards = [try SafetensorsFile.open(single)]
        } else if FileSystem.isFile(indexPath) {
            shards = try Self.shardNames(indexPath).map { try SafetensorsFile.open(folder.appendingPath($0)) }
        } else {
            throw ModelError(
                .unreadable,
                "\(folder): neither model.safetensors nor model.safetensors.index.json; convert the weights to safetensors"
            )
        }
        var index: [String: (shard: Int, stored: String)] = [:]
        var names: [String] = [], leftOut: Set<String> = []
        for (position, shard) in shards.enumerated() {
            for stored in shard.names {
                guard let name = isTextPart ? Self.textName(stored) : stored else {
                    let components = stored.split(separator: ".")
                    leftOut.insert(String(components.first { $0 != "model" } ?? "model"))
                    continue
                }
                guard index.updateValue((position, stored), forKey: name) == nil else {
                    throw ModelError(.malformed, "\(shard.path): tensor '\(name)' is also in another shard")
                }
                names.append(name)
            }
        }
        self.leftOut = leftOut.sorted()
        self.shards = shards
        self.index = index
        self.names = names
        let stored = Set(index.values.map(\.stored))
        let entries = shards.flatMap(\.entries).filter { stored.contains($0.name) }
        storedType = commonType(entries.map { ($0.type.rawValue, $0.count) })
        byteCount = entries.reduce(0) { $0 + $1.range.count }
    }

    /// The name in a text model of a tensor of a model of several parts, as versions of transformers prefix it; nil for
    /// tensors of other parts.
    private static func textName(_ name: String) -> String? {
        for (prefix, replacement) in [
            ("language_model.model.", "model."), ("language_model.lm_head.", "lm_head."),
            ("model.language_model.", "model."), ("lm_head.", "lm_head."),
        ] where name.hasPrefix(prefix) { return replacement + name.dropFirst(prefix.count) }
        return nil
    }

    private static func shardNames(_ path: String) throws -> [String] {
        let json = try FileSystem.json(path)
        guard let map = json["weight_map"]?.object, !map.members.isEmpty else {
            throw ModelError(.malformed, "\(path): no weight_map")
        }
        var names: Set<String> = []
        for member in map.members {
            guard let name = member.value.string else {
                throw ModelError(.malformed, "\(path): weight_map has no file for '\(member.key)'")
            }
            // A name, not a path: an index must not lead out of its folder.
            guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")), name != ".." else {
                throw ModelError(.malformed, "\(path): weight_map names the file '\(name)', outside the folder")
            }
            names.insert(name)
        }
        return names.sorted()
    }

    private func entry(_ name: String) -> (SafetensorsFile, SafetensorsEntry)? {
        guard let place = index[name], let entry = try? shards[place.shard].entry(place.stored) else { return nil }
        return (shards[place.shard], entry)
    }

    func shape(of name: String) -> [Int]? { entry(name)?.1.shape }
    func type(of name: String) -> String? { entry(name)?.1.type.rawValue }

    func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws {
        guard let place = index[name] else { throw ModelError(.tensor, "no tensor '\(name)'") }
        try shards[place.shard].read(place.stored, into: destination)
    }
}

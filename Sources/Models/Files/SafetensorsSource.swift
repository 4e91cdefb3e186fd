import Files
import Glibc

/// The weights of a Hugging Face folder: model.safetensors, or shards with model.safetensors.index.json.
struct SafetensorsSource: TensorSource {
    private let shards: [SafetensorsFile]
    private let index: [String: StoredTensor]
    let names: [String]
    let storedType: String
    let byteCount: Int
    /// Parts of a model of several parts that are not its text part, sorted.
    let leftOut: [String]

    /// - Parameters:
    ///   - isTextPart: whether the folder has a model of several parts, of which the text part is read.
    ///   - isVerbatim: whether names and shapes are wanted as they are in the files, for a model of any family.
    init(folder: String, isTextPart: Bool = false, isVerbatim: Bool = false) throws {
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
        // A model saved without a class that has a head: its names begin where others go on after 'model.'.
        let entryNames = shards.flatMap { $0.entries.map(\.name) }
        let isBare =
            !isTextPart && !isVerbatim && entryNames.contains("embed_tokens.weight")
            && !entryNames.contains { $0.hasPrefix("model.") }
        var index: [String: StoredTensor] = [:]
        var names: [String] = [], leftOut: Set<String> = []
        for (position, shard) in shards.enumerated() {
            for entry in shard.entries {
                let bare = isBare && !entry.name.hasPrefix("lm_head.") ? "model." + entry.name : entry.name
                guard let name = isTextPart ? Self.textName(entry.name) : bare else {
                    let components = entry.name.split(separator: ".")
                    leftOut.insert(String(components.first { $0 != "model" } ?? "model"))
                    continue
                }
                let whole = StoredTensor(shard: position, name: entry.name, shape: entry.shape)
                for (name, tensor) in isVerbatim ? [(name, whole)] : whole.matrices(of: name) {
                    guard index.updateValue(tensor, forKey: name) == nil else {
                        throw ModelError(.malformed, "\(shard.path): tensor '\(name)' is also in another shard")
                    }
                    names.append(name)
                }
            }
        }
        self.leftOut = leftOut.sorted()
        self.shards = shards
        self.index = index
        self.names = names
        let stored = Set(index.values.map(\.name))
        let entries = shards.flatMap(\.entries).filter { stored.contains($0.name) }
        storedType = commonType(entries.map { ($0.type.rawValue, $0.count) })
        byteCount = entries.reduce(0) { $0 + $1.range.count }
    }

    /// The name in a text model of a tensor of a model of several parts, as versions of transformers prefix it; nil for
    /// tensors of other parts.
    private static func textName(_ name: String) -> String? {
        for (prefix, replacement) in [
            ("language_model.model.", "model."), ("language_model.lm_head.", "lm_head."),
            ("model.language_model.", "model."), ("model.text_model.", "model."), ("lm_head.", "lm_head."),
            // Qwen2-VL's text stands where a text model's does, its eyes are in 'visual'.
            ("model.embed_tokens.", "model.embed_tokens."), ("model.layers.", "model.layers."),
            ("model.norm.", "model.norm."),
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

    func shape(of name: String) -> [Int]? { index[name]?.shape }

    func type(of name: String) -> String? {
        index[name].flatMap { try? shards[$0.shard].entry($0.name).type.rawValue }
    }

    func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws {
        guard let tensor = index[name] else { throw ModelError(.tensor, "no tensor '\(name)'") }
        try shards[tensor.shard].read(tensor.name, at: tensor.offset, into: destination)
    }

    /// Whether both tensors are there and differ in type, shape or any byte.
    func differ(_ name: String, _ other: String) throws -> Bool {
        guard let one = index[name], let two = index[other] else { return false }
        guard one.shape == two.shape, type(of: name) == type(of: other) else { return true }
        let count = try shards[one.shard].entry(one.name).range.count
        return try shards[one.shard].withBytes(one.name) { bytes in
            try shards[two.shard].withBytes(two.name) { others in
                guard let bytes = bytes.baseAddress, let others = others.baseAddress else { return false }
                return memcmp(bytes, others, count) != 0
            }
        }
    }
}

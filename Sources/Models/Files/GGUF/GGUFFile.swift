import Wording

/// A GGUF model, memory-mapped: one file, or the parts into which llama.cpp's `llama-gguf-split` cuts one.
package struct GGUFFile: Sendable {
    /// The file that has the metadata: of parts the first.
    let path: String
    let metadata: [String: GGUFValue]
    package let tensors: [GGUFTensor]
    private let parts: [GGUFPart]

    /// Opens the model that a file belongs to: any part leads to all of them.
    package init(_ path: String) throws {
        let opened = try GGUFPart(path)
        guard let place = try opened.place() else {
            self.init(opened)
            return
        }
        guard let name = GGUFPartName(path), name.place == place else {
            throw ModelError(
                .malformed,
                "\(path): by its split.no and split.count it is part \(place), which must be named "
                    + "\(GGUFPartName(stem: "MODEL", place: place).path) beside the others; give it its name back")
        }
        try self.init(
            joining: try (0..<place.count).map { index in
                guard index != place.index else { return opened }
                let path = name.sibling(index).path
                guard FileSystem.isFile(path) else {
                    throw ModelError(
                        .unreadable,
                        "\(path): missing; \(opened.path) is part \(place) of a model, and all parts must be in one folder"
                    )
                }
                return try GGUFPart(path)
            })
    }

    private init(_ part: GGUFPart) {
        path = part.path
        metadata = part.metadata
        tensors = part.tensors
        parts = [part]
    }

    /// Joins the parts of one model, in their order.
    /// - Throws: ``ModelError`` naming the part that is not the one that stands there, or does not agree with the first.
    package init(joining parts: [GGUFPart]) throws {
        guard let first = parts.first else { throw ModelError(.malformed, "a GGUF model of no parts") }
        func malformed(_ part: GGUFPart, _ message: String) -> ModelError {
            ModelError(.malformed, "\(part.path): \(message); get the parts of one model again")
        }
        var holders: [String: Int] = [:]
        var tensors: [GGUFTensor] = []
        for (index, part) in parts.enumerated() {
            guard let place = try part.place() else {
                throw malformed(part, "its split.count tells of no parts, where \(first.path) is one of \(parts.count)")
            }
            guard place == GGUFPartPlace(index: index, count: parts.count) else {
                throw malformed(
                    part,
                    "by its split.no and split.count it is part \(place), in the place of "
                        + "\(GGUFPartPlace(index: index, count: parts.count))")
            }
            for (key, value) in part.metadata where !GGUFPart.keysOfOnePart.contains(key) {
                guard first.metadata[key] == value else {
                    throw malformed(part, "its \(key) is not that of \(first.path)")
                }
            }
            for var tensor in part.tensors {
                if let other = holders.updateValue(index, forKey: tensor.name) {
                    throw malformed(part, "tensor '\(tensor.name)' stands in \(parts[other].path), too")
                }
                tensor.part = index
                tensors.append(tensor)
            }
        }
        guard first.metadata["split.tensors.count"] == .integer(Int64(tensors.count)) else {
            throw malformed(first, "its split.tensors.count is not \(tensors.count), as many as the parts have")
        }
        path = first.path
        metadata = first.metadata
        self.tensors = tensors
        self.parts = parts
    }

    /// The bytes of a tensor.
    package func withBytes<R>(of tensor: GGUFTensor, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try parts[tensor.part].file.withBytes(tensor.range, body)
    }

    /// Bytes of all files together.
    var byteCount: Int { parts.reduce(0) { $0 + $1.file.bytes.count } }
}

/// Where a part stands among the parts of its model; in words it is counted from 1.
struct GGUFPartPlace: Equatable, CustomStringConvertible {
    /// Its place, counted from 0.
    let index: Int
    /// How many parts there are, at least 2.
    let count: Int

    var description: String { "\(index + 1) of \(count)" }
}

/// The name that llama.cpp gives a part, such as `MODEL-00002-of-00003.gguf`, with its folder.
struct GGUFPartName: Equatable {
    /// What comes before the number.
    let stem: String
    let place: GGUFPartPlace

    init(stem: String, place: GGUFPartPlace) {
        self.stem = stem
        self.place = place
    }

    /// Nil for a name that is no part's.
    init?(_ path: String) {
        let fields = path.utf8.suffix(Self.suffixLength)
        guard fields.count == Self.suffixLength, path.hasSuffix(".gguf"), let text = String(fields) else { return nil }
        let parts = text.dropLast(".gguf".count).split(separator: "-", omittingEmptySubsequences: false)
        func number(_ digits: Substring) -> Int? {
            digits.utf8.count == 5 && digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) ? Int(digits) : nil
        }
        guard parts.count == 4, parts[0].isEmpty, parts[2] == "of", let count = number(parts[3]),
            let position = number(parts[1]), position >= 1, position <= count,
            let stem = String(path.utf8.dropLast(Self.suffixLength))
        else { return nil }
        self.stem = stem
        place = GGUFPartPlace(index: position - 1, count: count)
    }

    private static let suffixLength = "-00001-of-00001.gguf".count

    var path: String {
        "\(stem)-\((place.index + 1).padded(to: 5))-of-\(place.count.padded(to: 5)).gguf"
    }

    /// The name of another part of the same model.
    func sibling(_ index: Int) -> GGUFPartName {
        GGUFPartName(stem: stem, place: GGUFPartPlace(index: index, count: place.count))
    }
}

extension GGUFPart {
    /// Keys that may differ from part to part.
    static let keysOfOnePart: Set = ["split.no", "general.alignment"]

    /// Which part of a model this file says that it is; nil for a whole model.
    func place() throws -> GGUFPartPlace? {
        func integer(_ key: String) throws -> Int? {
            guard let value = metadata[key] else { return nil }
            guard case .integer(let number) = value, let result = Int(exactly: number), result >= 0 else {
                throw ModelError(.malformed, "\(path): \(key) is not a count; the file is corrupt, get it again")
            }
            return result
        }
        guard let count = try integer("split.count"), count > 1 else { return nil }
        // It is a number of 16 bits in the files that llama.cpp writes.
        guard count <= 1 << 16, let index = try integer("split.no"), index < count else {
            throw ModelError(
                .malformed,
                "\(path): split.no is missing or not below split.count \(count); the file is corrupt, get it again")
        }
        return GGUFPartPlace(index: index, count: count)
    }
}

import Models

extension FuzzTarget {
    static let gguf = FuzzTarget(name: "gguf") { bytes in
        let path = ScratchFile.shared.holding(bytes)
        if let file = try? GGUFFile(path) { file.exercise() }
        if let tokenizer = try? ModelFiles.openTokenizer(path) { try tokenizer.exercise() }
        guard let model = try? ModelFiles.open(path) else { return }
        try model.exercise()
    }

    /// Two parts of a model, one behind the other: the first 4 bytes tell the length of the first.
    static let ggufParts = FuzzTarget(name: "gguf_parts") { bytes in
        guard bytes.count >= 4 else { return }
        let length = bytes[..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
        let rest = bytes[4...], cut = rest.startIndex + min(length, rest.count)
        guard let first = try? GGUFPart(ScratchFile.shared.holding(Array(rest[..<cut]))),
            let second = try? GGUFPart(ScratchFile.second.holding(Array(rest[cut...]))),
            let file = try? GGUFFile(joining: [first, second])
        else { return }
        guard Set(file.tensors.map(\.name)).count == file.tensors.count else {
            throw BrokenPromise("every tensor has a name of its own")
        }
        file.exercise()
    }

    static let safetensors = FuzzTarget(name: "safetensors") { bytes in
        guard let file = try? SafetensorsFile.open(ScratchFile.shared.holding(bytes)) else { return }
        for name in file.names {
            _ = try? file.floats(name)
            _ = try? file.int32s(name)
        }
    }
}

extension GGUFFile {
    /// Reads every tensor.
    fileprivate func exercise() {
        for tensor in tensors {
            var values = [Float](repeating: 0, count: tensor.count)
            values.withUnsafeMutableBufferPointer { out in
                withBytes(of: tensor) { tensor.type.dequantize($0, into: out) }
            }
        }
    }
}

extension ModelFiles {
    /// All that commands ask of an opened model, short of computing with it.
    fileprivate func exercise() throws {
        _ = ModelSummary(self).lines
        _ = try? tokenizerFiles()
        if let tokenizer = try? loadTokenizer(), let template = try? chatTemplates().template() {
            _ = tokenizer.stopTokenIDs(endOfAnswer: template.endOfAnswer)
        }
        for name in tensorNames {
            guard let shape = try? shape(of: name) else { throw BrokenPromise("a listed tensor has a shape") }
            var values = [Float](repeating: 0, count: shape.reduce(1, *))
            _ = try? values.withUnsafeMutableBufferPointer { try read(name, into: $0) }
        }
    }
}

import Models

extension FuzzTarget {
    static let gguf = FuzzTarget(name: "gguf") { bytes in
        let path = ScratchFile.shared.holding(bytes)
        if let file = try? GGUFFile(path) {
            for tensor in file.tensors {
                var values = [Float](repeating: 0, count: tensor.count)
                values.withUnsafeMutableBufferPointer { out in
                    file.withBytes(of: tensor) { tensor.type.dequantize($0, into: out) }
                }
            }
        }
        if let tokenizer = try? ModelFiles.openTokenizer(path) { try tokenizer.exercise() }
        guard let model = try? ModelFiles.open(path) else { return }
        try model.exercise()
    }

    static let safetensors = FuzzTarget(name: "safetensors") { bytes in
        guard let file = try? SafetensorsFile.open(ScratchFile.shared.holding(bytes)) else { return }
        for name in file.names {
            _ = try? file.floats(name)
            _ = try? file.int32s(name)
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

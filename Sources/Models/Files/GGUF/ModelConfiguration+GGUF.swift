// llama.cpp's metadata to a configuration. Keys: github.com/ggml-org/ggml/blob/master/docs/gguf.md

extension ModelConfiguration {
    /// The configuration that a GGUF file's metadata and tensors describe.
    init(gguf file: GGUFFile) throws {
        let reader = GGUFMetadata(file: file)
        let architecture = try reader.string("general.architecture")
        guard let family = Family.gguf(architecture) else {
            throw ModelError(
                .unsupported, "\(file.path): architecture '\(architecture)' is not supported; \(Family.ggufList) are")
        }
        func key(_ name: String) -> String { "\(architecture).\(name)" }
        if let experts = try reader.optionalInt(key("expert_count")), experts > 0, !family.gguf.hasExperts {
            throw ModelError(.unsupported, "\(file.path): a mixture of \(experts) experts is not supported")
        }
        let names = Set(file.tensors.map(\.name))
        guard let embedding = file.tensors.first(where: { $0.name == "token_embd.weight" }), embedding.shape.count == 2
        else { throw ModelError(.tensor, "\(file.path): tensor 'token_embd.weight' is missing or no matrix") }
        let hidden = try reader.int(key("embedding_length"))
        let heads = try reader.uniformInt(key("attention.head_count"))
        guard heads > 0 else {
            throw ModelError(.malformed, "\(file.path): \(key("attention.head_count")) is \(heads)")
        }
        let dimension = try reader.optionalInt(key("attention.key_length")) ?? hidden / heads
        if let valueLength = try reader.optionalInt(key("attention.value_length")), valueLength != dimension {
            throw ModelError(
                .unsupported, "\(file.path): keys of \(dimension) and values of \(valueLength) are not supported")
        }
        let rotary = try reader.optionalInt(key("rope.dimension_count")) ?? dimension
        guard rotary == dimension || family.rope?.isPartial == true && (2..<max(3, dimension)).contains(rotary) else {
            throw ModelError(
                .unsupported, "\(file.path): rotary embedding of \(rotary) of \(dimension) dimensions is not supported")
        }
        let context = try reader.int(key("context_length")), layers = try reader.int(key("block_count"))
        guard (1...1 << 12).contains(layers) else {
            throw ModelError(.malformed, "\(file.path): \(key("block_count")) is \(layers)")
        }
        let theta = try reader.optionalDouble(key("rope.freq_base")) ?? family.rope?.theta ?? 10000
        var eos: [Int] = []
        for name in ["eos_token_id", "eot_token_id"] {
            if let id = try reader.optionalInt("tokenizer.ggml.\(name)"), !eos.contains(id) { eos.append(id) }
        }
        self.init(
            family: family, vocabularySize: embedding.shape[0], hiddenSize: hidden,
            intermediateSize: try reader.uniformInt(key("feed_forward_length")),
            layerCount: layers, headCount: heads,
            keyValueHeadCount: reader.has(key("attention.head_count_kv"))
                ? try reader.uniformInt(key("attention.head_count_kv")) : heads,
            headDimension: dimension,
            rmsNormEpsilon: Float(try reader.double(key("attention.layer_norm_rms_epsilon"))), ropeTheta: theta,
            ropeScaling: try reader.ropeScaling(
                architecture: architecture, theta: theta, dimension: rotary, context: context),
            maxPositions: context, tiedEmbeddings: !names.contains("output.weight"),
            attentionInputBias: names.contains("blk.0.attn_q.bias"),
            attentionOutputBias: names.contains("blk.0.attn_output.bias"),
            mlpBias: names.contains("blk.0.ffn_down.bias"), qkNorm: names.contains("blk.0.attn_q_norm.weight"),
            bosTokenID: try reader.optionalInt("tokenizer.ggml.bos_token_id"),
            padTokenID: try reader.optionalInt("tokenizer.ggml.padding_token_id"), eosTokenIDs: eos)
        if let id = bosTokenID, !(0..<vocabularySize).contains(id) { bosTokenID = nil }
        if let id = padTokenID, !(0..<vocabularySize).contains(id) { padTokenID = nil }
        if rotary != dimension {
            // The smallest factor that gives the number of columns, whatever the division rounds to.
            partialRotaryFactor = Double(rotary) / Double(dimension)
            if rotaryDimension < rotary { partialRotaryFactor = partialRotaryFactor.nextUp }
        }
        activation = family.activation
        try family.gguf.readMetadata(reader, &self)
        if slidingWindow == nil, let window = try reader.slidingWindow(), window < context {
            throw ModelError(.unsupported, "\(file.path): sliding_window \(window) is not supported; full attention is")
        }
        try validate(in: file.path)
        if let refusal = family.gguf.refusal(self) { throw ModelError(.unsupported, "\(file.path): \(refusal)") }
    }
}

/// Typed access to metadata, with errors that name file and key.
struct GGUFMetadata {
    let file: GGUFFile

    func has(_ key: String) -> Bool { file.metadata[key] != nil }

    /// The window of sliding layers; nil where the file has none.
    func slidingWindow() throws -> Int? {
        let window = try optionalInt("\(try string("general.architecture")).attention.sliding_window")
        return window.flatMap { $0 > 0 ? $0 : nil }
    }

    /// A number of the architecture's own; nil where the file has none.
    func optionalFloat(_ name: String) throws -> Float? {
        try optionalDouble("\(try string("general.architecture")).\(name)").map { Float($0) }
    }

    func malformed(_ key: String, _ kind: String) -> ModelError {
        ModelError(.malformed, "\(file.path): \(key) is missing or not \(kind)")
    }

    func optionalString(_ key: String) throws -> String? {
        guard let value = file.metadata[key] else { return nil }
        guard case .string(let text) = value else { throw malformed(key, "a text") }
        return text
    }

    func string(_ key: String) throws -> String {
        guard let text = try optionalString(key) else { throw malformed(key, "a text") }
        return text
    }

    func optionalInt(_ key: String) throws -> Int? {
        guard let value = file.metadata[key] else { return nil }
        guard case .integer(let number) = value else { throw malformed(key, "an integer") }
        return Int(number)
    }

    func int(_ key: String) throws -> Int {
        guard let number = try optionalInt(key) else { throw malformed(key, "an integer") }
        return number
    }

    /// An integer, or a list with one for every layer, all equal.
    func uniformInt(_ key: String) throws -> Int {
        guard case .integers(let values) = file.metadata[key] else { return try int(key) }
        guard let first = values.first else { throw malformed(key, "an integer") }
        guard values.allSatisfy({ $0 == first }) else {
            throw ModelError(.unsupported, "\(file.path): \(key) differs by layer, which is not supported")
        }
        return Int(first)
    }

    func optionalDouble(_ key: String) throws -> Double? {
        guard let value = file.metadata[key] else { return nil }
        switch value {
        case .float(let number): return number
        case .integer(let number): return Double(number)
        default: throw malformed(key, "a number")
        }
    }

    func double(_ key: String) throws -> Double {
        guard let number = try optionalDouble(key) else { throw malformed(key, "a number") }
        return number
    }

    func optionalBool(_ key: String) throws -> Bool? {
        guard let value = file.metadata[key] else { return nil }
        guard case .bool(let flag) = value else { throw malformed(key, "true or false") }
        return flag
    }

    func optionalStrings(_ key: String) throws -> [String]? {
        guard let value = file.metadata[key] else { return nil }
        guard case .strings(let texts) = value else { throw malformed(key, "a list of texts") }
        return texts
    }

    func optionalInts(_ key: String) throws -> [Int64]? {
        guard let value = file.metadata[key] else { return nil }
        guard case .integers(let numbers) = value else { throw malformed(key, "a list of integers") }
        return numbers
    }

    func optionalDoubles(_ key: String) throws -> [Double]? {
        switch file.metadata[key] {
        case nil: return nil
        case .floats(let numbers): return numbers
        case .integers(let numbers): return numbers.map(Double.init)
        default: throw malformed(key, "a list of numbers")
        }
    }
}

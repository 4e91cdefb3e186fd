/// The weights of a GGUF file under Hugging Face names, in Hugging Face row order.
struct GGUFSource: TensorSource {
    private let file: GGUFFile
    private let index: [String: Int]
    /// Heads of q and k rows that the converter interleaved, by projection; nil for other architectures.
    private let interleaved: (queryHeads: Int, keyHeads: Int)?
    let names: [String]
    let storedType: String
    let byteCount: Int

    init(_ file: GGUFFile, configuration: ModelConfiguration) throws {
        var index: [String: Int] = [:]
        var names: [String] = []
        for (position, tensor) in file.tensors.enumerated() where tensor.name != "rope_freqs.weight" {
            guard let name = Self.huggingFaceName(tensor.name) else {
                throw ModelError(
                    .unsupported,
                    "\(file.path): tensor '\(tensor.name)' is not one of a \(configuration.family.name) model")
            }
            index[name] = position
            names.append(name)
        }
        self.file = file
        self.index = index
        self.names = names
        interleaved =
            configuration.family.gguf.interleavesRotaryRows
            ? (configuration.headCount, configuration.keyValueHeadCount) : nil
        storedType = commonType(file.tensors.map { ($0.type.description, $0.count) })
        byteCount = file.tensors.reduce(0) { $0 + $1.range.count }
    }

    /// `blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`; nil for names we do not know.
    static func huggingFaceName(_ name: String) -> String? {
        switch name {
        case "token_embd.weight": return "model.embed_tokens.weight"
        case "output_norm.weight": return "model.norm.weight"
        case "output.weight": return "lm_head.weight"
        default: break
        }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "blk", let layer = Int(parts[1]), layer >= 0, "\(layer)" == parts[1] else {
            return nil
        }
        let kind = parts[3]
        let modules = [
            "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
            "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
            "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
            "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
        ]
        guard let module = modules[String(parts[2])], kind == "weight" || (kind == "bias" && module.hasSuffix("_proj"))
        else { return nil }
        return "model.layers.\(layer).\(module).\(kind)"
    }

    private func tensor(_ name: String) -> GGUFTensor? { index[name].map { file.tensors[$0] } }

    func shape(of name: String) -> [Int]? { tensor(name)?.shape }
    func type(of name: String) -> String? { tensor(name)?.type.description }

    func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws {
        guard let tensor = tensor(name) else { throw ModelError(.tensor, "\(file.path): no tensor '\(name)'") }
        file.withBytes(of: tensor) { bytes in
            guard let heads = interleavedHeads(name), !destination.isEmpty, tensor.shape[0] % (2 * heads) == 0 else {
                return tensor.type.dequantize(bytes, into: destination)
            }
            let rows = tensor.shape[0]
            if tensor.shape.count == 1 {
                // A bias: values take the place of rows.
                var values = [Float](repeating: 0, count: rows)
                values.withUnsafeMutableBufferPointer { tensor.type.dequantize(bytes, into: $0) }
                for row in 0..<rows { destination[Self.deinterleaved(row, rows: rows, heads: heads)] = values[row] }
                return
            }
            let width = destination.count / rows
            let rowByteCount = bytes.count / rows
            for row in 0..<rows {
                let target = Self.deinterleaved(row, rows: rows, heads: heads)
                tensor.type.dequantize(
                    UnsafeRawBufferPointer(rebasing: bytes[row * rowByteCount..<(row + 1) * rowByteCount]),
                    into: UnsafeMutableBufferPointer(rebasing: destination[target * width..<(target + 1) * width]))
            }
        }
    }

    private func interleavedHeads(_ name: String) -> Int? {
        guard let interleaved, name.contains(".self_attn.") else { return nil }
        if name.contains(".q_proj.") { return interleaved.queryHeads }
        if name.contains(".k_proj.") { return interleaved.keyHeads }
        return nil
    }

    /// Where a row of the file belongs: in a head of D rows the file has (2j + p) where Hugging Face has (p D/2 + j).
    static func deinterleaved(_ row: Int, rows: Int, heads: Int) -> Int {
        let dimension = rows / heads
        let (head, within) = row.quotientAndRemainder(dividingBy: dimension)
        return head * dimension + within % 2 * (dimension / 2) + within / 2
    }
}

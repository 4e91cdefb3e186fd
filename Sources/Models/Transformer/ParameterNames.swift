/// Hugging Face names of the parameters a layer uses, fused groups together.
struct LayerNames {
    let prefix: String
    init(layer: Int) { prefix = "model.layers.\(layer)." }

    var inputNorm: String { prefix + "input_layernorm.weight" }
    var postAttentionNorm: String { prefix + "post_attention_layernorm.weight" }
    var queryNorm: String { prefix + "self_attn.q_norm.weight" }
    var keyNorm: String { prefix + "self_attn.k_norm.weight" }
    func queryKeyValue(_ suffix: String) -> [String] {
        ["q_proj", "k_proj", "v_proj"].map { prefix + "self_attn.\($0).\(suffix)" }
    }
    func output(_ suffix: String) -> String { prefix + "self_attn.o_proj.\(suffix)" }
    func gateUp(_ suffix: String) -> [String] { ["gate_proj", "up_proj"].map { prefix + "mlp.\($0).\(suffix)" } }
    func down(_ suffix: String) -> String { prefix + "mlp.down_proj.\(suffix)" }
}

/// The matrices of a layer, as they are packed: those that one product uses together as one.
enum MatrixGroup: CaseIterable {
    case queryKeyValue, output, gateUp, down

    /// Names of the matrices, in the order in which they are stacked.
    func names(_ layer: LayerNames) -> [String] {
        switch self {
        case .queryKeyValue: layer.queryKeyValue("weight")
        case .output: [layer.output("weight")]
        case .gateUp: layer.gateUp("weight")
        case .down: [layer.down("weight")]
        }
    }
}

let embeddingName = "model.embed_tokens.weight"
let finalNormName = "model.norm.weight"
let headName = "lm_head.weight"

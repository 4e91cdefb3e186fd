import JSON
import Rules
import Tokenizers

/// A family of decoder-only transformers, described by data: how its files are recognised, what absent keys of
/// config.json stand for, what the keys of its own mean, and what parameters it has.
///
/// Each family has a file that bears its name; ``all`` lists them. Families are equal when their names are.
package struct Family: Sendable {
    /// `model_type` in config.json; messages call the family so.
    package let name: String
    /// The name as its makers write it.
    package let title: String
    /// The class that transformers loads, `architectures` in config.json.
    package let architecture: String
    package let defaults: Defaults
    /// What the parameters are called, here and in GGUF files, and their shapes.
    package let schema: ModelSchema
    /// What the family's class makes of rotary keys; nil where `readKeys` does all of it.
    package var rope: RopeForm? = RopeForm()
    /// The key of config.json that names what gates go through, and what an absent one stands for.
    package var activationKey = "hidden_act"
    package var activation = GateActivation.silu
    /// Whether the multiplier of embeddings is rounded to the compute type first, as transformers' buffer of it is.
    package var roundsEmbeddingMultiplier = false
    /// Keys that mean something in other families and that this one's class does not know, with the value that changes
    /// nothing: others are refused.
    package var foreignKeys = Family.rareKeys
    package let gguf: GGUFForm
    /// Reads the keys of config.json that mean something in this family alone, into a configuration that has the common
    /// ones. Throws for what they ask for and the engine does not do.
    package let readKeys: @Sendable (ConfigReader, inout ModelConfiguration) throws -> Void
    /// Writes the same keys, so that a configuration reads back as it was.
    package let writeKeys: @Sendable (ModelConfiguration, inout JSONObject) -> Void

    /// What transformers' configuration class assumes where config.json has no key.
    package struct Defaults: Sendable {
        /// Where the class has them: a text part's file may leave them out.
        package var sizes: Sizes?
        /// Heads of keys and values; nil means as many as heads.
        package var keyValueHeadCount: Int?
        /// Columns of a head; nil means `hidden_size / num_attention_heads`.
        package var headDimension: Int?
        package var maxPositions: Int
        package var rmsNormEpsilon = 1e-6
        package var tiedEmbeddings = false
        package var bosTokenID: Int?
        package var eosTokenIDs: [Int] = []
    }

    /// Sizes that config.json may leave out.
    package struct Sizes: Sendable {
        package let vocabulary: Int, hidden: Int, intermediate: Int, layers: Int, heads: Int
    }

    /// Keys of one or two families, with the value that changes nothing.
    package static let rareKeys: [String: Double] = [
        "attn_logit_softcapping": 0, "final_logit_softcapping": 0, "embedding_multiplier": 1,
        "residual_multiplier": 1, "logits_scaling": 1, "clip_qkv": 0, "num_experts": 0, "num_local_experts": 0,
        "n_routed_experts": 0,
    ]

    /// The rare keys without those that the family's class knows.
    static func rareKeys(without known: String...) -> [String: Double] {
        rareKeys.filter { !known.contains($0.key) }
    }

    /// How llama.cpp's converter writes a family.
    package struct GGUFForm: Sendable {
        /// `general.architecture`, which is also the prefix of the family's metadata keys.
        package var architecture: String
        /// Whether the converter reorders the rows of q and k, for a rotary embedding of neighbouring pairs.
        package var interleavesRotaryRows = false
        /// Whether `readMetadata` reads a mixture of experts; elsewhere one is refused.
        package var hasExperts = false
        /// What the tensors of a file have or lack that no model of the family does; nil where they fit.
        package var refusal: @Sendable (ModelConfiguration) -> String? = { _ in nil }
        /// Reads metadata of the family's own, into a configuration that has the common ones, and sets what llama.cpp
        /// takes for granted.
        var readMetadata: @Sendable (GGUFMetadata, inout ModelConfiguration) throws -> Void = { _, _ in }
    }
}

extension Family: Equatable {
    package static func == (one: Family, other: Family) -> Bool { one.name == other.name }
}

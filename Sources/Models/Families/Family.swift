import JSON
import Tokenizers

/// A family of decoder-only transformers, described by data: how its files are recognised, what absent keys of
/// config.json stand for, what the keys of its own mean, and what parameters it has.
///
/// Each family has a file that bears its name; ``all`` lists them. Families are equal when their names are.
package struct Family: Sendable {
    /// `model_type` in config.json; messages call the family so.
    package let name: String
    /// The name as its makers write it.
    let title: String
    /// The class that transformers loads, `architectures` in config.json.
    package let architecture: String
    let defaults: Defaults
    /// What the parameters are called, here and in GGUF files, and their shapes.
    let schema: ModelSchema
    let gguf: GGUFForm
    /// Reads the keys of config.json that mean something in this family alone, into a configuration that has the common
    /// ones. Throws for what they ask for and the engine does not do.
    let readKeys: @Sendable (ConfigReader, inout ModelConfiguration) throws -> Void
    /// Writes the same keys, so that a configuration reads back as it was.
    let writeKeys: @Sendable (ModelConfiguration, inout JSONObject) -> Void

    /// What transformers' configuration class assumes where config.json has no key.
    struct Defaults: Sendable {
        /// Nil means as many as heads.
        var keyValueHeadCount: Int?
        /// Nil means `hidden_size / num_attention_heads`.
        var headDimension: Int?
        var maxPositions: Int
        var ropeTheta = 10000.0
        var rmsNormEpsilon = 1e-6
        var tiedEmbeddings = false
        var bosTokenID: Int?
        var eosTokenIDs: [Int] = []
    }

    /// How llama.cpp's converter writes a family.
    struct GGUFForm: Sendable {
        /// `general.architecture`, which is also the prefix of the family's metadata keys.
        var architecture: String
        /// Whether the converter reorders the rows of q and k, for a rotary embedding of neighbouring pairs.
        var interleavesRotaryRows = false
        /// What the tensors of a file have or lack that no model of the family does; nil where they fit.
        var refusal: @Sendable (ModelConfiguration) -> String? = { _ in nil }
    }
}

extension Family: Equatable {
    package static func == (one: Family, other: Family) -> Bool { one.name == other.name }
}

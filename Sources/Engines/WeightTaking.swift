import Wire

/// A model whose weights a learner sends.
package protocol WeightTaking: Backend {
    /// Bytes of a weight snapshot of this model; nil takes any size.
    var weightByteCount: Int? { get }

    /// Replaces the weights. Sequences under way go on with the new ones, and their later tokens carry `version`.
    /// Throws where the manifest is not one of this model.
    func replaceWeights(_ bytes: WeightBytes, _ manifest: WeightManifest, version: UInt64) async throws
}

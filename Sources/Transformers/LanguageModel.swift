import Compute
import Models
import Rules

/// A model ready to compute: configuration, packed weights and a thread team. Belongs to one actor.
package final class LanguageModel {
    package let configuration: ModelConfiguration
    package let type: ElementType
    package let transformer: Transformer
    package let context: ComputeContext

    /// Loads and packs a model.
    /// - Parameters:
    ///   - files: an opened model folder or GGUF.
    ///   - type: compute type of matrices and activations.
    ///   - threads: size of the compute team, at least 1.
    /// - Throws: `ModelError` naming the tensor that is missing or misshapen.
    package convenience init(_ files: ModelFiles, type: ElementType, threads: Int) throws {
        let context = ComputeContext(threads: threads)
        try self.init(
            configuration: files.configuration, source: FileParameters(files, type: type, context: context), type: type,
            context: context)
    }

    /// Packs parameters that are already in memory; they are not kept.
    package convenience init(
        configuration: ModelConfiguration, parameters: ParameterBuffer, type: ElementType, context: ComputeContext
    ) {
        self.init(configuration: configuration, source: parameters, type: type, context: context)
    }

    private init<Source: ParameterSource>(
        configuration: ModelConfiguration, source: Source, type: ElementType, context: ComputeContext
    ) throws(Source.Failure) {
        self.configuration = configuration
        self.type = type
        self.context = context
        transformer = try Transformer(configuration: configuration, source: source, type: type, context: context)
    }

    /// Replaces all weights in place by a broadcast version laid out as `broadcastLayout`.
    package func replaceWeights(_ bytes: UnsafeRawBufferPointer, owner: AnyObject) {
        precondition(bytes.count == broadcastLayout.byteCount, "weights belong to another model")
        // The buffer is only read; the view type has no read-only form.
        let base = UnsafeMutableRawPointer(mutating: bytes.baseAddress!)
        transformer.update(from: ParameterBuffer(layout: broadcastLayout, viewing: base, owner: owner))
    }

    /// How weights of this model travel: matrices in the compute type, vectors in f32.
    package var broadcastLayout: ParameterLayout { ParameterLayout(configuration, matrixType: type) }

    /// Longest sequence the model was made for, in tokens.
    package var contextLength: Int { configuration.maxPositions }
}

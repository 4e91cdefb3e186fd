import Compute
import Models

/// The adapters of a model, or those of one version of it.
package final class Adapters {
    package let layout: AdapterLayout
    /// f32, in the layout's places.
    package let values: ParameterBuffer

    package init(layout: AdapterLayout, values: ParameterBuffer) {
        precondition(values.layout.byteCount == layout.parameters.byteCount, "values of other adapters")
        self.layout = layout
        self.values = values
    }

    /// Adapters to begin with, which change nothing.
    package convenience init(layout: AdapterLayout, seed: UInt64) {
        self.init(layout: layout, values: ParameterBuffer(layout: layout.parameters))
        layout.places.initialize(UnsafeMutableRawBufferPointer(mutating: values.bytes), seed: seed)
    }

    /// A and B of a matrix; nil where it has no adapter.
    package func factors(of name: String) -> (a: Tensor, b: Tensor)? {
        guard layout.adapts(name) else { return nil }
        let names = AdapterLayout.names(adapting: name)
        guard let a = values.tensor(names.a), let b = values.tensor(names.b) else { return nil }
        return (a, b)
    }

    /// Writes matrices, stacked by rows, with what their adapters add to them: base and out [sum N, K] f32.
    func merge(_ names: [String], base: Tensor, into out: Tensor, context: ComputeContext) {
        var row = 0
        for name in names {
            let rows = row..<row + layout.height(of: name)
            row = rows.upperBound
            if let (a, b) = factors(of: name) {
                context.addAdapter(
                    base: base.rows(rows), a: a, b: b, scale: layout.shape.scale, into: out.rows(rows))
            } else {
                context.convert(from: base.rows(rows), to: out.rows(rows))
            }
        }
    }

    /// One parameter with what its adapter adds to it, for a thread that does not own `context`.
    package func merged(_ name: String, base: Tensor, context: ComputeContext) -> Tensor {
        guard let (a, b) = factors(of: name) else { return base }
        let out = Tensor(rows: base.rows, columns: base.columns)
        context.addAdapterAlone(base: base, a: a, b: b, scale: layout.shape.scale, into: out)
        return out
    }

    /// Calls `body` with every group of matrices of which any has an adapter, as it is with it.
    /// - Parameter base: f32.
    private func forEachMerged<Base: ParameterSource>(
        onto base: Base, context: ComputeContext,
        _ body: (_ group: MatrixGroup, _ layer: Int, _ merged: Tensor) -> Void
    ) throws(Base.Failure) {
        let room = ScratchTensor(columns: 1)
        for layer in 0..<layout.configuration.layerCount {
            let layerNames = layout.configuration.schema.names(layer: layer)
            for group in MatrixGroup.allCases {
                let names = layerNames.weights(group)
                guard names.contains(where: layout.adapts), let matrix = try base.fused(names) else { continue }
                let merged = room.tensor(rows: matrix.count).reshaped(rows: matrix.rows, columns: matrix.columns)
                merge(names, base: matrix, into: merged, context: context)
                body(group, layer, merged)
            }
        }
    }

    /// Packs the matrices that have adapters anew: those of `base` with what the adapters add.
    func pack<Base: ParameterSource>(
        onto base: Base, into transformer: Transformer, _ backward: TransformerBackward? = nil
    ) throws(Base.Failure) {
        let context = transformer.context
        try forEachMerged(onto: base, context: context) { group, layer, merged in
            context.repack(merged, into: transformer.weights.layers[layer][group])
            if let packed = backward?.transposed.layers[layer][group] { context.repack(merged, into: packed) }
        }
        backward?.adapters?.update()
    }

    /// Packs for training: forward and backward pass, and the adapters for their own gradients.
    package func pack(onto base: ParameterBuffer, into transformer: Transformer, backward: TransformerBackward) {
        pack(onto: base, into: transformer, backward)
    }
}

extension LanguageModel {
    /// Follows new adapters: the weights are those of `files` with what the adapters add.
    /// - Parameter files: the model that this was loaded from.
    package func apply(_ adapters: Adapters, to files: ModelFiles) throws {
        try adapters.pack(onto: FileParameters(files, type: .f32, context: context), into: transformer)
    }
}

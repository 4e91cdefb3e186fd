import Compute
import Models

/// Gradients of adapters from those of a layer's outputs, without the gradient of the matrix between.
///
/// With y = x W'ᵀ, W' = W + s B A and dL/dW' = dyᵀ x: dB = dyᵀ (x (s A)ᵀ) and dA = (dy (s B))ᵀ x, which costs
/// 4 T rank (N + K) operations and no memory of the matrix's size. All of it f32, whatever the compute type.
final class AdapterBackward {
    private let adapters: Adapters
    private let gradients: ParameterBuffer
    private let context: ComputeContext
    /// s A for x (s A)ᵀ, and s B transposed for dy (s B), by the name of the matrix.
    private var packed: [String: (a: PackedMatrix, b: PackedMatrix)] = [:]
    private let rows = ScratchTensor(columns: 1)  // x, [T, K]
    private let outputs = ScratchTensor(columns: 1)  // dy of one matrix, [T, N]
    private let narrow: ScratchTensor  // [T, rank]
    private let scaled = ScratchTensor(columns: 1)

    /// - Parameter gradients: in the adapters' layout.
    init(_ adapters: Adapters, gradients: ParameterBuffer, context: ComputeContext) {
        self.adapters = adapters
        self.gradients = gradients
        self.context = context
        narrow = ScratchTensor(columns: adapters.layout.shape.rank)
        let configuration = adapters.layout.configuration
        for layer in 0..<configuration.layerCount {
            for name in MatrixGroup.allCases.flatMap(configuration.schema.names(layer: layer).weights) {
                guard let (a, b) = adapters.factors(of: name) else { continue }
                packed[name] = (
                    context.pack(times(a), as: .f32), context.pack(times(b), as: .f32, transposed: true)
                )
            }
        }
    }

    /// Follows the adapters' values.
    func update() {
        for (name, matrices) in packed {
            guard let (a, b) = adapters.factors(of: name) else { continue }
            context.repack(times(a), into: matrices.a)
            context.repack(times(b), into: matrices.b)
        }
    }

    /// Writes the gradients of the adapters of stacked matrices, or adds them. dy [T, sum N] and x [T, K] of the compute
    /// type.
    func run(_ names: [String], dy: Tensor, x: Tensor, accumulate: Bool) {
        guard names.contains(where: { packed[$0] != nil }) else { return }
        let count = dy.rows
        let wide = rows.tensor(rows: x.count).reshaped(rows: count, columns: x.columns)
        context.convert(from: x, to: wide)
        var column = 0
        for name in names {
            let columns = column..<column + adapters.layout.height(of: name)
            column = columns.upperBound
            let factorNames = AdapterLayout.names(adapting: name)
            guard let matrices = packed[name], let dA = gradients.tensor(factorNames.a),
                let dB = gradients.tensor(factorNames.b)
            else { continue }
            let part = outputs.tensor(rows: count * columns.count).reshaped(rows: count, columns: columns.count)
            context.copyColumns(columns, of: dy, into: part)
            let product = narrow.tensor(rows: count)
            context.linear(wide, matrices.a, into: product)
            context.weightGradient(dy: part, x: product, into: dB, accumulate: accumulate)
            context.linear(part, matrices.b, into: product)
            context.weightGradient(dy: product, x: wide, into: dA, accumulate: accumulate)
        }
    }

    /// A copy times s.
    private func times(_ factor: Tensor) -> Tensor {
        let copy = scaled.tensor(rows: factor.count).reshaped(rows: factor.rows, columns: factor.columns)
        let scale = adapters.layout.shape.scale, from = factor.f32, to = copy.f32
        for index in 0..<factor.count { to[index] = scale * from[index] }
        return copy
    }
}

import CKernels
import Rules

/// Feed-forward networks of which each row goes through a few: a mixture of experts.
///
/// Rows are put together expert by expert, and every expert multiplies its own. A row's bits do not depend on which
/// others go where: products are row by row, and a row's experts are added in ascending order.
extension ComputeContext {
    /// What the experts make of the rows at each place.
    private struct ExpertPass {
        let routing: ExpertRouting
        let inputs: Tensor  // [T K, C] A
        let gateUp: Tensor  // [T K, 2 I] A
        let hidden: Tensor  // [T K, I] A
        let outputs: Tensor  // [T K, C] f32
    }

    /// y[t] = sum of w_e Down_e(activation(Gate_e x[t]) * Up_e x[t]) over the experts that row t chooses.
    ///
    /// x [T,C] A, logits of the router [T,E] f32, y [T,C] f32.
    package func expertForward(
        _ x: Tensor, logits: Tensor, experts: [ExpertMatrices], rule: ExpertRule, into y: Tensor
    ) {
        precondition(y.rows == x.rows && y.columns == x.columns && y.type == .f32, "experts: output")
        let pass = expertPass(x, logits: logits, experts: experts, rule: rule)
        let outputs = pass.outputs
        addPlaces(outputs, weighted: true, pass.routing, rule, into: y)
    }

    /// Gradient of ``expertForward(_:logits:experts:rule:into:)``, whose products it makes again.
    /// - Parameters:
    ///   - dy: [T,C] f32.
    ///   - x, logits: as in the forward pass.
    ///   - transposed: the experts' matrices, packed for dx = dy W.
    ///   - dx: [T,C] f32, written; what flows back through `dLogits` is not in it.
    ///   - dLogits: [T,E] f32, written.
    ///   - accumulate: whether weights' gradients are added to.
    ///   - gradients: where an expert's go, f32: gate and up [2I,C], down [C,I]; nil: not wanted.
    package func expertBackward(
        dy: Tensor, x: Tensor, logits: Tensor, experts: [ExpertMatrices], transposed: [ExpertMatrices],
        rule: ExpertRule, dx: Tensor, dLogits: Tensor, accumulate: Bool,
        gradients: (_ expert: Int) -> (gateUp: Tensor, down: Tensor)?
    ) {
        precondition(dy.type == .f32 && dy.count == x.count && dx.count == x.count && dx.type == .f32, "experts: dx")
        precondition(dLogits.count == logits.count && dLogits.type == .f32, "experts: dLogits")
        let pass = expertPass(x, logits: logits, experts: experts, rule: rule)
        let routing = pass.routing, columns = x.columns, count = routing.rows.count
        let width = pass.hidden.columns
        let dOutputs = scratch("experts.dOutputs", rows: count, columns: columns, type: x.type)
        let weighted = scratch("experts.weighted", rows: team.threads, columns: columns)
        team.run(count: count, chunk: 16) { [kernels] range, thread in
            let row = weighted.f32 + thread * columns
            for place in range {
                row.update(from: dy.f32 + Int(routing.rows[place]) * columns, count: columns)
                kernels.scale(row, routing.placeWeights[place], Int64(columns))
                kernels.convert(
                    dOutputs.bytes + place * columns * x.type.byteCount, x.type.code, row, ElementType.f32.code,
                    Int64(columns))
            }
        }
        routerGradient(dy: dy, pass.outputs, routing, rule, into: dLogits)
        let dHidden = scratch("experts.dHidden", rows: count, columns: width, type: x.type)
        multiply(dOutputs, by: transposed.map(\.down), routing, into: dHidden)
        let dGateUp = scratch("experts.dGateUp", rows: count, columns: 2 * width, type: x.type)
        gatedActivationBackward(dh: dHidden, gateUp: pass.gateUp, rule.activation, into: dGateUp)
        let dInputs = scratch("experts.dInputs", rows: count, columns: columns)
        multiply(dGateUp, by: transposed.map(\.gateUp), routing, into: dInputs)
        for expert in experts.indices {
            guard let gradient = gradients(expert) else { continue }
            let places = routing.range(expert)
            for (dy, x, gradient) in [
                (dOutputs, pass.hidden, gradient.down), (dGateUp, pass.inputs, gradient.gateUp),
            ] { weightGradient(dy: dy.rows(places), x: x.rows(places), into: gradient, accumulate: accumulate) }
        }
        addPlaces(dInputs, weighted: false, routing, rule, into: dx)
    }

    private func expertPass(
        _ x: Tensor, logits: Tensor, experts: [ExpertMatrices], rule: ExpertRule
    ) -> ExpertPass {
        precondition(logits.rows == x.rows && logits.columns == experts.count && !experts.isEmpty, "experts: logits")
        let routing = ExpertRouting(self, logits: logits, rule: rule)
        let count = routing.rows.count, columns = x.columns, width = experts[0].down.inputs
        let inputs = scratch("experts.inputs", rows: count, columns: columns, type: x.type)
        let gateUp = scratch("experts.gateUp", rows: count, columns: 2 * width, type: x.type)
        let hidden = scratch("experts.hidden", rows: count, columns: width, type: x.type)
        let outputs = scratch("experts.outputs", rows: count, columns: columns)
        let rowBytes = columns * x.type.byteCount
        team.run(count: count, chunk: 64) { range, _ in
            for place in range {
                (inputs.bytes + place * rowBytes)
                    .copyMemory(from: x.bytes + Int(routing.rows[place]) * rowBytes, byteCount: rowBytes)
            }
        }
        multiply(inputs, by: experts.map(\.gateUp), routing, into: gateUp)
        gatedActivation(gateUp, rule.activation, into: hidden)
        multiply(hidden, by: experts.map(\.down), routing, into: outputs)
        return ExpertPass(routing: routing, inputs: inputs, gateUp: gateUp, hidden: hidden, outputs: outputs)
    }

    /// The rows of every expert times its own matrix.
    private func multiply(
        _ rows: Tensor, by matrices: [PackedMatrix], _ routing: ExpertRouting, into products: Tensor
    ) {
        for (expert, matrix) in matrices.enumerated() {
            let places = routing.range(expert)
            linear(rows.rows(places), matrix, into: products.rows(places))
        }
    }

    /// y[t] = sum of the rows at its places, in the order of the experts, each times its weight or 1.
    private func addPlaces(
        _ values: Tensor, weighted: Bool, _ routing: ExpertRouting, _ rule: ExpertRule, into y: Tensor
    ) {
        let columns = y.columns
        team.run(count: y.rows, chunk: Self.rowsPerItem) { [kernels] range, _ in
            for row in range {
                let to = y.f32 + row * columns
                to.update(repeating: 0, count: columns)
                for index in row * rule.perRow..<(row + 1) * rule.perRow {
                    kernels.add_scaled(
                        to, values.f32 + Int(routing.places[index]) * columns, weighted ? routing.weights[index] : 1,
                        Int64(columns))
                }
            }
        }
    }

    /// With p the probabilities, S the chosen, w = p / sum of p over S (or p), and dw_e = dy . output_e:
    /// dp_e = (dw_e - sum of dw w over S) / sum of p over S (or dw_e) in S, else 0; dz_e = p_e (dp_e - sum of p dp).
    private func routerGradient(
        dy: Tensor, _ outputs: Tensor, _ routing: ExpertRouting, _ rule: ExpertRule, into dLogits: Tensor
    ) {
        let columns = dy.columns, all = dLogits.columns
        team.run(count: dy.rows, chunk: Self.rowsPerItem) { [kernels] range, _ in
            for row in range {
                let p = routing.probabilities.f32 + row * all, d = dLogits.f32 + row * all
                let chosen = row * rule.perRow..<(row + 1) * rule.perRow
                d.update(repeating: 0, count: all)
                var mean: Float = 0, sum: Float = 0
                for index in chosen {
                    let expert = Int(routing.experts[index])
                    let slope = kernels.dot(
                        dy.f32 + row * columns, outputs.f32 + Int(routing.places[index]) * columns, Int64(columns))
                    d[expert] = slope
                    mean += slope * routing.weights[index]
                    sum += p[expert]
                }
                if rule.normalizesChosen {
                    for index in chosen {
                        let expert = Int(routing.experts[index])
                        d[expert] = (d[expert] - mean) / sum
                    }
                    // The sum of p dp is zero.
                    mean = 0
                }
                for expert in 0..<all { d[expert] = p[expert] * (d[expert] - mean) }
            }
        }
    }
}

import CKernels
import Rules

/// Row kernels. A is the activation type: f32, or bf16 in bf16 mode. T rows.
extension ComputeContext {
    /// Fills with zeros, on every thread.
    package func zero(_ t: Tensor) {
        guard t.count > 0 else { return }
        team.run(count: t.count, chunk: 1 << 18) { range, _ in
            (t.bytes + range.lowerBound * t.type.byteCount)
                .initializeMemory(as: UInt8.self, repeating: 0, count: range.count * t.type.byteCount)
        }
    }

    /// Rows a thread claims at a time, fewer where they are long and take exponentials, and rows summed into one partial gradient of a norm's weight.
    static let rowsPerItem = 16
    static let activationRowsPerItem = 4
    static let rowsPerPartial = 64

    /// to = from, converted (round to nearest even). Same number of elements; any two types.
    package func convert(from: Tensor, to: Tensor) {
        profile?.begin(.conversion)
        defer { profile?.end() }
        precondition(from.count == to.count, "convert: \(from.count) elements to \(to.count)")
        team.run(count: from.count, chunk: 1 << 16) { [kernels] range, _ in
            kernels.convert(
                to.bytes + range.lowerBound * to.type.byteCount, to.type.code,
                from.bytes + range.lowerBound * from.type.byteCount, from.type.code, Int64(range.count))
        }
    }

    /// x[t] = table[ids[t]]. table [V,C] any type, x [T,C] f32.
    package func embed(ids: [Int32], table: Tensor, into x: Tensor) {
        profile?.begin(.embedding)
        defer { profile?.end() }
        precondition(x.rows == ids.count && x.columns == table.columns && x.type == .f32, "embed: shapes differ")
        precondition(ids.allSatisfy { $0 >= 0 && Int($0) < table.rows }, "embed: id outside the vocabulary")
        ids.withUnsafeBufferPointer { ids in
            team.run(count: ids.count, chunk: 64) { [kernels] range, _ in
                kernels.embed(
                    x.f32, table.bytes, table.type.code, Int64(x.columns), ids.baseAddress, Int64(range.lowerBound),
                    Int64(range.upperBound))
            }
        }
    }

    /// x[t] = row ids[t] of the matrix W [V,C] that was packed. x [T,C] f32; `packed.hasReadableRows` must hold.
    ///
    /// So that tied embeddings need no second copy beside the head.
    package func embed(ids: [Int32], packed: PackedMatrix, into x: Tensor) {
        profile?.begin(.embedding)
        defer { profile?.end() }
        precondition(x.rows == ids.count && x.columns == packed.inputs && x.type == .f32, "embed: shapes differ")
        precondition(ids.allSatisfy { $0 >= 0 && Int($0) < packed.outputs }, "embed: id outside the vocabulary")
        guard let full = packed.layout.offsets, let last = packed.lastLayout.offsets else {
            preconditionFailure("embed: the packed layout is not made of blocks")
        }
        team.run(count: ids.count, chunk: 64) { range, _ in
            for row in range {
                let (panel, column) = Int(ids[row]).quotientAndRemainder(dividingBy: packed.panelWidth)
                let offsets = panel == packed.panelCount - 1 ? last : full
                let start =
                    packed.bytes(ofPanel: panel) + Int(offsets.outputs[column]) * packed.storedType.byteCount
                ck_gather(
                    x.f32 + row * x.columns, start, packed.storedType.code, offsets.inputs, Int64(x.columns))
            }
        }
    }

    /// dTable[ids[t]] += dx[t], t ascending. dx [T,C] f32, dTable [V,C] f32.
    package func embedBackward(ids: [Int32], dx: Tensor, into dTable: Tensor) {
        profile?.begin(.embedding)
        defer { profile?.end() }
        precondition(dx.rows == ids.count && dx.columns == dTable.columns, "embedBackward: shapes differ")
        precondition(ids.allSatisfy { $0 >= 0 && Int($0) < dTable.rows }, "embedBackward: id outside the vocabulary")
        ids.withUnsafeBufferPointer { ids in
            team.run(count: dx.columns, chunk: 64) { [kernels] range, _ in
                kernels.embed_backward(
                    dTable.f32, dx.f32, Int64(dx.columns), ids.baseAddress, Int64(ids.count),
                    Int64(range.lowerBound), Int64(range.upperBound))
            }
        }
    }

    /// y = x / sqrt(mean(x²) + epsilon) * weight, row by row. x [T,C] f32, weight [1,C] f32, y [T,C] A.
    package func rmsNorm(_ x: Tensor, weight: Tensor, epsilon: Float, into y: Tensor) {
        profile?.begin(.norm)
        defer { profile?.end() }
        precondition(x.rows == y.rows && x.columns == y.columns && weight.count == x.columns, "rmsNorm: shapes")
        team.run(count: x.rows, chunk: Self.rowsPerItem) { [kernels] range, _ in
            kernels.rms_norm(
                y.bytes, y.type.code, x.f32, weight.f32, Int64(x.columns), epsilon, Int64(range.lowerBound),
                Int64(range.upperBound))
        }
    }

    /// Gradient of ``rmsNorm(_:weight:epsilon:into:)``: dx += ..., dWeight += ... Both f32; dy [T,C] any type.
    package func rmsNormBackward(
        dy: Tensor, x: Tensor, weight: Tensor, epsilon: Float, dx: Tensor, dWeight: Tensor
    ) {
        profile?.begin(.normGradient)
        defer { profile?.end() }
        precondition(
            dy.rows == x.rows && dx.rows == x.rows && dy.columns == x.columns && dx.columns == x.columns
                && dWeight.count == x.columns, "rmsNormBackward: shapes differ")
        withPartials(into: dWeight, rows: x.rows) { [kernels] partial, range in
            kernels.rms_norm_backward(
                dx.f32, partial, dy.bytes, dy.type.code, x.f32, weight.f32, Int64(x.columns), epsilon,
                Int64(range.lowerBound), Int64(range.upperBound))
        }
    }

    /// Runs `body` on fixed row ranges, each with a zeroed partial sum as wide as `total`; adds them up in order.
    func withPartials(
        into total: Tensor, rows: Int, _ body: (_ partial: UnsafeMutablePointer<Float>, _ rows: Range<Int>) -> Void
    ) {
        let chunk = Self.rowsPerPartial
        let parts = (rows + chunk - 1) / chunk
        let partials = scratch("partials", rows: parts, columns: total.count)
        team.run(items: parts) { part, _ in
            let row = partials.rows(part..<part + 1)
            row.fill(0)
            body(row.f32, part * chunk..<min(rows, (part + 1) * chunk))
        }
        for part in 0..<parts {
            kernels.add(total.f32, partials.rows(part..<part + 1).f32, Int64(total.count))
        }
    }

    /// y[t] += bias. bias [1,N] f32, y [T,N] any type.
    package func addBias(_ bias: Tensor, to y: Tensor) {
        profile?.begin(.conversion)
        defer { profile?.end() }
        precondition(bias.count == y.columns, "addBias: shapes differ")
        team.run(count: y.rows, chunk: Self.rowsPerItem) { [kernels] range, _ in
            kernels.add_bias(
                y.bytes, y.type.code, bias.f32, Int64(y.columns), Int64(range.lowerBound), Int64(range.upperBound))
        }
    }

    /// db += sum of dy's rows, in order. dy [T,N] any type, db [1,N] f32.
    package func accumulateColumnSums(_ dy: Tensor, into db: Tensor) {
        profile?.begin(.weightGradient)
        defer { profile?.end() }
        precondition(db.count == dy.columns, "accumulateColumnSums: shapes differ")
        team.run(count: dy.columns, chunk: 64) { [kernels] range, _ in
            kernels.column_sums(
                db.f32, dy.bytes, dy.type.code, Int64(dy.rows), Int64(dy.columns), Int64(range.lowerBound),
                Int64(range.upperBound))
        }
    }

    /// y += x, elementwise; both f32.
    package func add(_ x: Tensor, to y: Tensor) {
        precondition(x.count == y.count, "add: shapes differ")
        team.run(count: x.count, chunk: 1 << 15) { [kernels] range, _ in
            kernels.add(y.f32 + range.lowerBound, x.f32 + range.lowerBound, Int64(range.count))
        }
    }

    /// y += factor * x, elementwise, the product rounded first; both f32. A residual multiplier is such a factor.
    package func add(_ x: Tensor, times factor: Float, to y: Tensor) {
        profile?.begin(.activation)
        defer { profile?.end() }
        precondition(x.count == y.count && x.type == .f32 && y.type == .f32, "add: shapes differ")
        team.run(count: x.count, chunk: 1 << 15) { [kernels] range, _ in
            kernels.add_scaled(y.f32 + range.lowerBound, x.f32 + range.lowerBound, factor, Int64(range.count))
        }
    }

    /// x *= factor, elementwise, f32.
    package func scale(_ x: Tensor, by factor: Float) {
        profile?.begin(.activation)
        defer { profile?.end() }
        precondition(x.type == .f32, "scale: type")
        team.run(count: x.count, chunk: 1 << 15) { [kernels] range, _ in
            kernels.scale(x.f32 + range.lowerBound, factor, Int64(range.count))
        }
    }

    /// y += rmsNorm(x) * weight, row by row: a block's output whose norm comes before the residual addition.
    ///
    /// x and y [T,C] f32, weight [1,C] f32. The gradient of x is ``rmsNormBackward(dy:x:weight:epsilon:dx:dWeight:)``
    /// with y's gradient as dy.
    package func addRMSNorm(_ x: Tensor, weight: Tensor, epsilon: Float, to y: Tensor) {
        profile?.begin(.norm)
        defer { profile?.end() }
        precondition(x.rows == y.rows && x.columns == y.columns && weight.count == x.columns, "addRMSNorm: shapes")
        precondition(x.type == .f32 && y.type == .f32, "addRMSNorm: types")
        team.run(count: x.rows, chunk: Self.rowsPerItem) { [kernels] range, _ in
            kernels.add_rms_norm(
                y.f32, x.f32, weight.f32, Int64(x.columns), epsilon, Int64(range.lowerBound), Int64(range.upperBound))
        }
    }

    /// h = activation(gate) * up. gateUp [T,2I] A with the gate first, h [T,I] A.
    package func gatedActivation(_ gateUp: Tensor, _ activation: GateActivation = .silu, into h: Tensor) {
        profile?.begin(.activation)
        defer { profile?.end() }
        precondition(
            gateUp.rows == h.rows && gateUp.columns == 2 * h.columns && gateUp.type == h.type, "gatedActivation")
        guard let kernel = activation == .silu ? kernels.swiglu : kernels.geglu else { return }
        team.run(count: h.rows, chunk: Self.activationRowsPerItem) { range, _ in
            kernel(
                h.bytes, gateUp.bytes, h.type.code, Int64(h.columns), Int64(range.lowerBound),
                Int64(range.upperBound))
        }
    }

    /// Gradient of ``gatedActivation(_:_:into:)``. dh [T,I] f32 or A, gateUp and dGateUp [T,2I] A.
    package func gatedActivationBackward(
        dh: Tensor, gateUp: Tensor, _ activation: GateActivation = .silu, into dGateUp: Tensor
    ) {
        profile?.begin(.activationGradient)
        defer { profile?.end() }
        precondition(
            gateUp.rows == dh.rows && gateUp.columns == 2 * dh.columns && dGateUp.count == gateUp.count
                && dGateUp.type == gateUp.type && (dh.type == .f32 || dh.type == gateUp.type),
            "gatedActivationBackward")
        guard let kernel = activation == .silu ? kernels.swiglu_backward : kernels.geglu_backward else { return }
        team.run(count: dh.rows, chunk: Self.activationRowsPerItem) { range, _ in
            kernel(
                dGateUp.bytes, dh.bytes, dh.type.code, gateUp.bytes, gateUp.type.code, Int64(dh.columns),
                Int64(range.lowerBound), Int64(range.upperBound))
        }
    }
}

import CKernels

extension ComputeContext {
    /// Draws from softmax of each row of logits [B, V] by inverse CDF.
    /// - Parameters:
    ///   - lse: [B] log-sum-exp of each row.
    ///   - uniforms: [B] draws in [0, 1); a negative one skips its row.
    ///   - tokens: becomes the [B] token ids; -1 where skipped.
    package func sampleTokens(logits: Tensor, lse: [Float], uniforms: [Double], into tokens: inout [Int32]) {
        profile?.begin(.sampling)
        defer { profile?.end() }
        tokens.removeAll(keepingCapacity: true)
        tokens.append(contentsOf: repeatElement(-1, count: logits.rows))
        let columns = logits.columns
        withUnsafePointer(to: kernels) { kernels in
            tokens.withUnsafeMutableBufferPointer { tokens in
                team.run(items: logits.rows) { row, _ in
                    guard uniforms[row] >= 0 else { return }
                    tokens[row] = Int32(
                        ck_sample_index(
                            kernels, logits.f32 + row * columns, Int64(columns), lse[row], uniforms[row]))
                }
            }
        }
    }
}

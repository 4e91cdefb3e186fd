import CKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension ComputeContext {
    /// One AdamW step in one pass: g = gradientScale * gradients; m, v the moments; with bias correction,
    /// p = p (1 - learningRate weightDecay) - learningRate m̂ / (sqrt(v̂) + epsilon).
    ///
    /// All tensors f32 with the same number of elements. `step` counts from 1. Loshchilov and Hutter, 2019.
    public func adamW(
        parameters: Tensor, gradients: Tensor, m: Tensor, v: Tensor, learningRate: Float, beta1: Float, beta2: Float,
        epsilon: Float, weightDecay: Float, step: Int, gradientScale: Float = 1
    ) {
        profile?.begin(.optimizer)
        defer { profile?.end() }
        let count = parameters.count
        precondition(gradients.count == count && m.count == count && v.count == count && step >= 1, "adamW")
        var options = ck_adamw(
            learning_rate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, weight_decay: weightDecay,
            correction1: Float(1 - pow(Double(beta1), Double(step))),
            correction2: Float(1 - pow(Double(beta2), Double(step))), gradient_scale: gradientScale)
        withUnsafePointer(to: &options) { options in
            team.run(count: count, chunk: 1 << 16) { range, _ in
                let at = range.lowerBound
                kernels.adamw(
                    parameters.f32 + at, gradients.f32 + at, m.f32 + at, v.f32 + at, Int64(range.count), options)
            }
        }
    }

    /// Sum of the squares of all elements, in double; fixed chunks added in order.
    public func sumOfSquares(_ gradients: Tensor) -> Double {
        profile?.begin(.optimizer)
        defer { profile?.end() }
        let chunk = 1 << 16
        let parts = (gradients.count + chunk - 1) / chunk
        var sums = [Double](repeating: 0, count: parts)
        sums.withUnsafeMutableBufferPointer { sums in
            team.run(count: gradients.count, chunk: chunk) { range, _ in
                sums[range.lowerBound / chunk] = kernels.sum_of_squares(
                    gradients.f32 + range.lowerBound, Int64(range.count))
            }
        }
        return sums.reduce(0, +)
    }
}

import CKernels
import Glibc

extension ComputeContext {
    /// One AdamW step in one pass: g = gradientScale * gradients; m, v the moments; with bias correction,
    /// p = p (1 - learningRate weightDecay) - learningRate m̂ / (sqrt(v̂) + epsilon).
    ///
    /// All tensors f32 with the same number of elements. `step` counts from 1. Loshchilov and Hutter, 2019.
    /// - Returns: ``sumOfSquares(_:)`` of the new parameters, taken while they are in the cache.
    @discardableResult package func adamW(
        parameters: Tensor, gradients: Tensor, m: Tensor, v: Tensor, learningRate: Float, beta1: Float, beta2: Float,
        epsilon: Float, weightDecay: Float, step: Int, gradientScale: Float = 1
    ) -> Double {
        profile?.begin(.optimizer)
        defer { profile?.end() }
        let count = parameters.count
        precondition(gradients.count == count && m.count == count && v.count == count && step >= 1, "adamW")
        var options = ck_adamw(
            learning_rate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, weight_decay: weightDecay,
            correction1: Float(1 - pow(Double(beta1), Double(step))),
            correction2: Float(1 - pow(Double(beta2), Double(step))), gradient_scale: gradientScale)
        return withUnsafePointer(to: &options) { options in
            sumOverChunks(of: count) { range in
                let at = range.lowerBound, count = Int64(range.count)
                kernels.adamw(parameters.f32 + at, gradients.f32 + at, m.f32 + at, v.f32 + at, count, options)
                return kernels.sum_of_squares(parameters.f32 + at, count)
            }
        }
    }

    /// Moves an exponential moving average on: average = average + (1 - decay) (values - average), which is
    /// decay average + (1 - decay) values, each operation rounded to f32.
    ///
    /// Both tensors f32 with the same number of elements.
    package func moveAverage(_ average: Tensor, towards values: Tensor, decay: Double) {
        profile?.begin(.optimizer)
        defer { profile?.end() }
        precondition(average.count == values.count && decay > 0 && decay < 1, "moveAverage")
        let share = Float(1 - decay)
        team.run(count: average.count, chunk: 1 << 14) { range, _ in
            let at = range.lowerBound
            kernels.move_average(average.f32 + at, values.f32 + at, share, Int64(range.count))
        }
    }

    /// Sum of the squares of all elements, in double; fixed chunks added in order.
    package func sumOfSquares(_ x: Tensor) -> Double {
        profile?.begin(.optimizer)
        defer { profile?.end() }
        return sumOverChunks(of: x.count) { kernels.sum_of_squares(x.f32 + $0.lowerBound, Int64($0.count)) }
    }

    /// The sum of `body` of every chunk, in order.
    private func sumOverChunks(of count: Int, _ body: (Range<Int>) -> Double) -> Double {
        let chunk = 1 << 14
        var sums = [Double](repeating: 0, count: (count + chunk - 1) / chunk)
        sums.withUnsafeMutableBufferPointer { sums in
            team.run(count: count, chunk: chunk) { range, _ in sums[range.lowerBound / chunk] = body(range) }
        }
        return sums.reduce(0, +)
    }
}

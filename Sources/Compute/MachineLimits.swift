import CKernels
import Rules
import Wording

/// What this machine can do, measured now: the roofs under which everything else is judged.
package enum MachineLimits {
    /// FLOP/s of bf16 or f32 matmul on a context's threads: 256 x 3072 x 576, packed weights.
    package static func matmulRate(context: ComputeContext, type: ElementType) -> Double {
        let w = filled(rows: 3072, columns: 576)
        let input = filled(rows: 256, columns: 576)
        let x = Tensor(rows: 256, columns: 576, type: type)
        context.convert(from: input, to: x)
        let packed = context.pack(w, as: type)
        let y = Tensor(rows: 256, columns: 3072)
        context.linear(x, packed, into: y)
        let flops = 2.0 * 256 * 3072 * 576
        return flops / best { context.linear(x, packed, into: y) }
    }

    /// Bytes/s read by `threads` threads from 256 MiB, each in one place or in four by turns, whichever is faster: the
    /// hardware that runs ahead of a reader follows several at once.
    package static func memoryBandwidth(threads: Int) -> Double {
        let context = ComputeContext(threads: threads)
        let data = filled(rows: 1 << 8, columns: 1 << 18)
        var sums = [Float](repeating: 0, count: data.rows)
        let seconds = sums.withUnsafeMutableBufferPointer { sums in
            [false, true].map { inPlaces in
                best {
                    context.team.run(items: data.rows) { row, _ in
                        sums[row] = context.kernels.sum(data.f32 + row * data.columns, Int64(data.columns), inPlaces)
                    }
                }
            }.min() ?? .infinity
        }
        return Double(data.byteCount) / seconds
    }

    /// Shortest of repetitions within about a quarter of a second.
    private static func best(_ body: () -> Void) -> Double {
        let clock = ContinuousClock()
        var shortest = Duration.seconds(1000)
        let start = clock.now
        var runs = 0
        repeat {
            shortest = min(shortest, clock.measure(body))
            runs += 1
        } while runs < 3 || clock.now - start < .milliseconds(250)
        return shortest.seconds
    }

    /// Non-zero everywhere: untouched pages would all be one cached page.
    private static func filled(rows: Int, columns: Int) -> Tensor {
        let t = Tensor(rows: rows, columns: columns)
        for i in 0..<t.count { t.f32[i] = Float(i % 251 - 125) / 128 }
        return t
    }
}

import Compute
import Distillation
import Foundation
import Generation
import Randomness
import Testing

@Suite struct PhiloxTests {
    /// Known answers of the Random123 distribution for philox4x32 with 10 rounds.
    @Test func knownAnswers() {
        let zero = Philox.words(counter: (0, 0, 0, 0), key: (0, 0))
        #expect([zero.0, zero.1, zero.2, zero.3] == [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])
        let all = UInt32.max
        let ones = Philox.words(counter: (all, all, all, all), key: (all, all))
        #expect([ones.0, ones.1, ones.2, ones.3] == [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd])
        let pi = Philox.words(
            counter: (0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), key: (0xa409_3822, 0x299f_31d0))
        #expect([pi.0, pi.1, pi.2, pi.3] == [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1])
    }

    @Test func everyCoordinateCounts() {
        let base = Philox.uniform(seed: 1, stream: 2, sample: 3, position: 4)
        #expect(base >= 0 && base < 1)
        #expect(base != Philox.uniform(seed: 2, stream: 2, sample: 3, position: 4))
        #expect(base != Philox.uniform(seed: 1, stream: 1, sample: 3, position: 4))
        #expect(base != Philox.uniform(seed: 1, stream: 2, sample: 2, position: 4))
        #expect(base != Philox.uniform(seed: 1, stream: 2, sample: 3, position: 5))
        #expect(base != Philox.uniform(seed: 1 << 40 | 1, stream: 2, sample: 3, position: 4))
    }
}

@Suite struct SamplingTests {
    private func logSumExp(_ row: [Float]) -> Float {
        let top = row.max()!
        return Float(Double(top) + log(row.reduce(0.0) { $0 + exp(Double($1 - top)) }))
    }

    private func draw(_ context: ComputeContext, logits: Tensor, lse: [Float], uniforms: [Double]) -> [Int32] {
        // What was in it is forgotten.
        var tokens: [Int32] = [7]
        context.sampleTokens(logits: logits, lse: lse, uniforms: uniforms, into: &tokens)
        return tokens
    }

    @Test(arguments: [5, 64, 1024, 1500, 5000])
    func sharesMatchProbabilitiesAndEndsAreReached(vocabulary: Int) {
        let context = ComputeContext(threads: 2)
        let row = (0..<vocabulary).map { Float(($0 * 7919) % 97) / 20 }
        let lse = logSumExp(row)
        let draws = 4096
        let logits = Tensor(floats: Array(repeatElement(row, count: 8).joined()), rows: 8, columns: vocabulary)
        var counts = [Int](repeating: 0, count: vocabulary)
        for start in stride(from: 0, to: draws, by: 8) {
            let uniforms = (start..<start + 8).map { (Double($0) + 0.5) / Double(draws) }
            let tokens = draw(
                context, logits: logits, lse: [Float](repeating: lse, count: 8), uniforms: uniforms)
            for token in tokens { counts[Int(token)] += 1 }
        }
        var mass = 0.0, drawn = 0
        for token in 0..<vocabulary {
            mass += exp(Double(row[token] - lse))
            drawn += counts[token]
            // Stratified draws: the cumulative count is exact to one draw and rounding.
            #expect(abs(Double(drawn) - mass * Double(draws)) < 1.5)
        }
        let ends = draw(
            context, logits: Tensor(floats: row + row, rows: 2, columns: vocabulary), lse: [lse, lse],
            uniforms: [0, 1 - 0x1p-53])
        #expect(ends == [0, Int32(vocabulary - 1)])
    }

    @Test func aTokenWithoutMassIsNeverDrawn() {
        let context = ComputeContext(threads: 1)
        let row: [Float] = [-.infinity, 0, -.infinity, 0, -.infinity]
        for uniform in [0, 0.25, 0.499, 0.5, 0.75, 1 - 0x1p-53] {
            let tokens = draw(
                context, logits: Tensor(floats: row, rows: 1, columns: 5), lse: [logSumExp(row)], uniforms: [uniform])
            #expect(tokens == [uniform < 0.5 ? 1 : 3])
        }
    }

    @Test func greedyTakesTheLowestOfEquals() {
        let row: [Float] = [1, 3, 3, 2]
        let choice = row.withUnsafeBufferPointer {
            TokenChoice.choose(
                logits: $0, logSumExp: logSumExp(row), parameters: SamplingSettings(maxTokens: 1, temperature: 0),
                uniform: 0.9)
        }
        #expect(choice.token == 1)
        #expect(choice.logprob == 3 - logSumExp(row))
    }

    @Test func topKAndTopPRenormalise() {
        let probabilities: [Float] = [0.1, 0.4, 0.2, 0.3]
        let row = probabilities.map { Float(log(Double($0))) }
        func choose(_ parameters: SamplingSettings, _ uniform: Double) -> (token: Int32, logprob: Float) {
            row.withUnsafeBufferPointer {
                TokenChoice.choose(logits: $0, logSumExp: 0, parameters: parameters, uniform: uniform)
            }
        }
        let topK = SamplingSettings(maxTokens: 1, topK: 2)
        #expect(choose(topK, 0.5).token == 1)
        #expect(choose(topK, 0.6).token == 3)
        #expect(abs(choose(topK, 0.5).logprob - Float(log(0.4 / 0.7))) < 1e-6)
        let topP = SamplingSettings(maxTokens: 1, topP: 0.75)
        #expect(choose(topP, 0.99).token == 2)
        #expect(abs(choose(topP, 0.99).logprob - Float(log(0.2 / 0.9))) < 1e-6)
        #expect(choose(SamplingSettings(maxTokens: 1, topP: 0.01), 0.99).token == 1)
    }
}

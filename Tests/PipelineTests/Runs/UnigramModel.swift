import Distillation
import Engines
import Foundation
import Randomness
import Wire

/// The smallest language model there is: one distribution over 8 tokens, whatever came before. Token 0 stops.
struct UnigramModel: Sendable, Equatable {
    static let vocabulary = 8
    var logits: [Float]

    static let student = UnigramModel(logits: [0, 0.5, -0.5, 1, -1, 0.25, -0.25, 0])
    static func teacher(_ name: String) -> UnigramModel {
        switch name {
        case "default": UnigramModel(logits: [-1, 2, 0, 0, 1, -2, 1, 0.5])
        // It finds token 4 impossible.
        case "strict": UnigramModel(logits: [-1, 2, 0, 0, -1e4, -2, 1, 0.5])
        default: UnigramModel(logits: [0, -1, 1, 2, 0, 0, -1, 1])
        }
    }

    func logprobs(temperature: Float = 1) -> [Float] {
        let scaled = logits.map { Double($0 / temperature) }
        let normaliser = log(scaled.reduce(0) { $0 + exp($1) })
        return scaled.map { Float($0 - normaliser) }
    }

    func token(seed: UInt64, sample: UInt32, position: Int, temperature: Float) -> Int32 {
        let uniform = Double(CounterRandom(key: seed, UInt64(sample)).bits(UInt64(position)) >> 11) * 0x1p-53
        var sum = 0.0
        for (token, logprob) in logprobs(temperature: temperature).enumerated() {
            sum += exp(Double(logprob))
            if uniform < sum { return Int32(token) }
        }
        return Int32(Self.vocabulary - 1)
    }

    static let manifest = WeightManifest(
        matrixType: .f32, tensors: [.init(name: "logits", shape: [vocabulary], type: .f32, byteOffset: 0)],
        byteCount: vocabulary * 4)

    var bytes: WeightBytes {
        WeightBytes(count: logits.count * 4) { memory in logits.withUnsafeBytes { memory.copyMemory(from: $0) } }
    }

    init(logits: [Float]) { self.logits = logits }

    init(bytes: WeightBytes) {
        logits = bytes.withUnsafeBytes { raw in
            (0..<Self.vocabulary).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
        }
    }
}

struct EngineFailure: Error, CustomStringConvertible {
    var description: String { "the engine failed" }
}

extension UnigramModel {
    /// The most probable tokens, ascending, and the log-probabilities of them and of the others together.
    func top(_ count: Int) -> (ids: [Int32], logprobs: [Float]) {
        let logprobs = logprobs()
        let ids = logprobs.indices.sorted { (logprobs[$1], $0) < (logprobs[$0], $1) }.prefix(count).sorted()
            .map { Int32($0) }
        return (ids, classLogprobs(ids, temperature: 1))
    }

    func classLogprobs(_ ids: [Int32], temperature: Float) -> [Float] {
        let logprobs = logprobs(temperature: temperature)
        let classes = TokenClasses(ids, vocabularySize: Self.vocabulary)!
        return classes.logprobs(logprobs.map(Double.init)).map { Float($0) }
    }
}

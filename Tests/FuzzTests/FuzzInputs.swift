import Distillation
import Randomness

/// Inputs for a fuzz target, each a pure function of the corpus and a number.
struct FuzzInputs {
    let corpus: [[UInt8]]
    /// What makes the inputs of one target differ from those of another.
    let stream: UInt64

    private static let seed: UInt64 = 20_240

    /// Random bytes for one number in eight, else an entry of the corpus with one to four changes.
    func input(_ index: UInt64) -> [UInt8] {
        var draws = Draws(random: CounterRandom(key: Self.seed, stream, index))
        guard !corpus.isEmpty, draws.below(8) > 0 else {
            return (0..<draws.below(512)).map { _ in draws.byte() }
        }
        var bytes = corpus[draws.below(corpus.count)]
        for _ in 0...draws.below(4) { mutate(&bytes, &draws) }
        return bytes
    }

    private func mutate(_ bytes: inout [UInt8], _ draws: inout Draws) {
        guard !bytes.isEmpty else {
            bytes = [draws.byte()]
            return
        }
        let start = draws.below(bytes.count)
        let range = start..<min(bytes.count, start + 1 + draws.below(16))
        switch draws.below(7) {
        case 0: bytes[start] ^= 1 << UInt8(draws.below(8))
        case 1: bytes[start] = draws.byte()
        // What counts and lengths are checked against.
        case 2: bytes.replaceSubrange(range, with: range.map { _ in [0, 0x7f, 0xff][draws.below(3)] })
        case 3: bytes.removeSubrange(range)
        case 4: bytes.insert(contentsOf: bytes[range], at: draws.below(bytes.count))
        case 5: bytes.removeSubrange(start...)
        default:
            let other = corpus[draws.below(corpus.count)]
            bytes = Array(bytes[..<start] + other.dropFirst(draws.below(other.count + 1)))
        }
    }
}

/// Numbers of a counter's, drawn one after the other.
private struct Draws {
    let random: CounterRandom
    private var counter: UInt64 = 0

    init(random: CounterRandom) { self.random = random }

    mutating func below(_ bound: Int) -> Int {
        defer { counter += 1 }
        return Int(random.integer(below: UInt64(bound), counter))
    }

    mutating func byte() -> UInt8 { UInt8(below(256)) }
}

import CKernels
import Compute
import Rules
import TestSupport

/// Small fixed random numbers: tests must not change from run to run.
struct Random {
    private var random: SeededRandom

    init(_ seed: UInt64 = 1) { random = SeededRandom(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ 1) }

    mutating func bits() -> UInt64 { random.next() }

    /// Uniform in -1 ..< 1.
    mutating func float() -> Float { Float(Int32(truncatingIfNeeded: bits() >> 40) - (1 << 23)) / Float(1 << 23) }
    mutating func floats(_ count: Int, scale: Float = 1) -> [Float] { (0..<count).map { _ in scale * float() } }
    mutating func int(below n: Int) -> Int { Int(bits() >> 33) % n }

    mutating func tensor(_ rows: Int, _ columns: Int, _ type: ElementType = .f32, scale: Float = 1) -> Tensor {
        Tensor(floats: floats(rows * columns, scale: scale), rows: rows, columns: columns).converted(to: type)
    }
}

extension Tensor {
    func converted(to type: ElementType) -> Tensor {
        if type == self.type { return self }
        let made = Tensor(rows: rows, columns: columns, type: type)
        if type == .bf16 {
            ck_convert_f32_to_bf16(made.bf16, f32, Int64(count))
        } else {
            ck_convert_bf16_to_f32(made.f32, bf16, Int64(count))
        }
        return made
    }

    func copy() -> Tensor {
        let made = Tensor(rows: rows, columns: columns, type: type)
        made.bytes.copyMemory(from: bytes, byteCount: byteCount)
        return made
    }

    /// Bits of every element, so that NaN and signed zeros compare as they are.
    var bits: [UInt8] { [UInt8](UnsafeRawBufferPointer(start: bytes, count: byteCount)) }
}

/// Largest difference relative to the largest reference magnitude.
func relativeError(_ got: [Float], _ want: [Double]) -> Double {
    precondition(got.count == want.count)
    let scale = max(want.map(abs).max() ?? 0, 1e-30)
    var worst = 0.0
    for (g, w) in zip(got, want) {
        let error = abs(Double(g) - w)
        worst = error.isNaN ? .infinity : max(worst, error)
    }
    return worst / scale
}

func relativeError(_ got: [Float], _ want: [Float]) -> Double { relativeError(got, want.map(Double.init)) }

/// c[m,n] = a[m,k] b[n,k]ᵀ in double.
func product(_ a: [Float], _ b: [Float], m: Int, n: Int, k: Int) -> [Double] {
    var c = [Double](repeating: 0, count: m * n)
    a.withUnsafeBufferPointer { a in
        b.withUnsafeBufferPointer { b in
            for i in 0..<m {
                for j in 0..<n {
                    var sum = 0.0
                    for p in 0..<k { sum += Double(a[i * k + p]) * Double(b[j * k + p]) }
                    c[i * n + j] = sum
                }
            }
        }
    }
    return c
}

/// How matrices are multiplied: as this CPU does, as it would without AMX tiles, bf16 in f32, or the package's own
/// kernels of each instruction set.
enum Backend: Sendable, CustomStringConvertible {
    case native
    case withoutTiles
    case emulated
    case own(String)

    static let all: [Backend] =
        [.native, .emulated] + ComputeContext.availableInstructionSets.map(Backend.own)
        + (ck_bf16_tiles_available() ? [.withoutTiles] : [])

    func context(threads: Int) -> ComputeContext {
        switch self {
        case .native: ComputeContext(threads: threads)
        case .withoutTiles: ComputeContext(threads: threads, instructionSet: nil, emulateBF16: nil, tiles: false)
        case .emulated: ComputeContext(threads: threads, instructionSet: nil, emulateBF16: true)
        case .own(let set):
            ComputeContext(threads: threads, instructionSet: set, emulateBF16: nil, ownMatmul: true)
        }
    }

    /// Fast enough for real shapes in every run.
    var isFast: Bool {
        switch self {
        case .native, .withoutTiles: true
        case .emulated: false
        case .own(let set): set == "avx512"
        }
    }

    var description: String {
        switch self {
        case .native: "native"
        case .withoutTiles: "without tiles"
        case .emulated: "emulated"
        case .own(let set): "own \(set)"
        }
    }
}

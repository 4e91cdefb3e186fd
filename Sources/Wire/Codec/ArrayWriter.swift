import Distillation

/// Collects the array frames of a message that is being encoded.
struct ArrayWriter {
    private let limits: WireLimits
    private(set) var descriptions: [PBArrayFrame] = []
    private(set) var frames: [Frame] = []

    init(limits: WireLimits) { self.limits = limits }

    /// One frame that holds all `ids`, little-endian.
    mutating func appendTokenIDs(_ ids: [[Int32]], to kind: PBArrayKind = .tokenIds) throws(WireError) {
        try append(kind, ids) { $0.littleEndian }
    }

    /// One frame that holds all `logprobs`, little-endian.
    mutating func appendLogprobs(_ logprobs: [[Float]], to kind: PBArrayKind = .logprobs) throws(WireError) {
        try append(kind, logprobs) { $0.bitPattern.littleEndian }
    }

    /// One frame that holds the numbers of all hidden states, little-endian; none: no frame.
    mutating func appendHiddenStates(_ states: [HiddenStates.Numbers]) throws(WireError) {
        var upperHalves: [[UInt16]] = [], whole: [[Float]] = []
        for numbers in states {
            switch numbers {
            case .bf16(let values): upperHalves.append(values)
            case .f32(let values): whole.append(values)
            }
        }
        guard upperHalves.isEmpty || whole.isEmpty else {
            throw WireError(.invalidValue, "hidden states of one message are some bf16 and some f32")
        }
        if !upperHalves.isEmpty { try append(.hiddenStates, upperHalves) { $0.littleEndian } }
        if !whole.isEmpty { try appendLogprobs(whole, to: .hiddenStatesF32) }
    }

    /// `frame` as it is.
    mutating func appendWeightBytes(_ frame: Frame) throws(WireError) {
        try add(.weightBytes, count: frame.count, frame: frame)
    }

    private mutating func append<Element, Word: FixedWidthInteger>(
        _ kind: PBArrayKind, _ parts: [[Element]], word: (Element) -> Word
    ) throws(WireError) {
        let count = parts.reduce(0) { $0 + $1.count }
        let stride = MemoryLayout<Word>.size
        let bytes = PackedArray(byteCount: count * stride) { target in
            var offset = 0
            for part in parts {
                #if _endian(little)
                    part.withUnsafeBytes { source in
                        UnsafeMutableRawBufferPointer(rebasing: target[offset...]).copyMemory(from: source)
                    }
                    offset += part.count * stride
                #else
                    for element in part {
                        target.storeBytes(of: word(element), toByteOffset: offset, as: Word.self)
                        offset += stride
                    }
                #endif
            }
        }
        try add(kind, count: count, frame: Frame(storage: bytes))
    }

    private mutating func add(_ kind: PBArrayKind, count: Int, frame: Frame) throws(WireError) {
        guard frame.count <= limits.frameBytes else {
            throw WireError(.oversized, "frame of \(frame.count) bytes is above the limit of \(limits.frameBytes)")
        }
        var description = PBArrayFrame()
        description.kind = kind
        description.count = UInt64(count)
        descriptions.append(description)
        frames.append(frame)
    }
}

/// The bytes of an array frame, which a socket can send without copying them once more.
///
/// `@unchecked Sendable`: written in the initializer only.
private final class PackedArray: ByteStorage, @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer

    /// - Parameter fill: has to write every byte.
    init(byteCount: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
        fill(memory)
        bytes = UnsafeRawBufferPointer(memory)
    }

    deinit { bytes.deallocate() }
}

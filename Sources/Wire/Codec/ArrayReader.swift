import Distillation

/// Hands out the elements of a received message's array frames, after checking that the header's counts are the
/// frames' lengths.
///
/// Elements are copied: received frames may start at any address.
struct ArrayReader {
    private struct Cursor {
        var frame: Frame
        var position = 0
        var remaining: Int
    }

    private var cursors: [PBArrayKind: Cursor] = [:]

    init(frames: ArraySlice<Frame>, descriptions: [PBArrayFrame], limits: WireLimits) throws(WireError) {
        guard frames.count == descriptions.count else {
            throw WireError(
                .lengthMismatch,
                "the header describes \(descriptions.count) array frames, but \(frames.count) came")
        }
        for (frame, description) in zip(frames, descriptions) {
            guard frame.count <= limits.frameBytes else {
                throw WireError(
                    .oversized, "frame of \(frame.count) bytes is above the limit of \(limits.frameBytes)")
            }
            guard let stride = Self.stride(of: description.kind) else { continue }
            let (expected, overflow) = description.count.multipliedReportingOverflow(by: UInt64(stride))
            guard !overflow, expected == UInt64(frame.count) else {
                throw WireError(
                    .lengthMismatch,
                    "\(description.kind) frame has \(frame.count) bytes, but the header says \(description.count) elements"
                )
            }
            guard cursors[description.kind] == nil else {
                throw WireError(.lengthMismatch, "two \(description.kind) frames")
            }
            cursors[description.kind] = Cursor(frame: frame, remaining: frame.count / stride)
        }
    }

    /// Bytes of an element; nil for kinds this version does not know, whose frames are ignored.
    static func stride(of kind: PBArrayKind) -> Int? {
        switch kind {
        case .tokenIds, .logprobs, .topIds, .topLogprobs, .tailLogprobs: 4
        case .weightBytes: 1
        case .hiddenStates: 2
        case .hiddenStatesF32: 4
        case .unspecified, .UNRECOGNIZED: nil
        }
    }

    /// The next `count` token ids of a frame, all checked to be non-negative.
    mutating func takeTokenIDs(
        _ count: Int, _ what: @autoclosure () -> String, from kind: PBArrayKind = .tokenIds
    ) throws(WireError) -> [Int32] {
        let ids: [Int32] = try take(kind, count, what()) { Int32(littleEndian: $0) }
        // Without a way out of the loop, so that it is done many at a time.
        guard ids.reduce(0, |) >= 0 else { throw WireError(.invalidValue, "\(what()): negative token id") }
        return ids
    }

    /// The next `count` log-probabilities of a frame. One that is not finite is for the learner to judge, which knows whose
    /// it is.
    mutating func takeLogprobs(
        _ count: Int, _ what: @autoclosure () -> String, from kind: PBArrayKind = .logprobs
    ) throws(WireError) -> [Float] {
        try take(kind, count, what()) { Float(bitPattern: UInt32(littleEndian: $0.bitPattern)) }
    }

    /// The next `count` numbers of hidden states, from whichever of their frames has come.
    mutating func takeHiddenStates(
        _ count: Int, _ what: @autoclosure () -> String
    ) throws(WireError) -> HiddenStates.Numbers {
        guard cursors[.hiddenStatesF32] == nil else {
            return .f32(try takeLogprobs(count, what(), from: .hiddenStatesF32))
        }
        return .bf16(try take(.hiddenStates, count, what()) { UInt16(littleEndian: $0) })
    }

    /// The whole weight frame, not copied.
    mutating func takeWeightBytes() throws(WireError) -> Frame {
        guard let cursor = cursors.removeValue(forKey: .weightBytes) else {
            throw WireError(.lengthMismatch, "the chunk's frame is missing")
        }
        return cursor.frame
    }

    /// Checks that nothing is left over.
    func finish(_ message: String) throws(WireError) {
        for (kind, cursor) in cursors where cursor.remaining > 0 {
            throw WireError(
                .lengthMismatch, "\(message): \(cursor.remaining) elements of the \(kind) frame belong to no item")
        }
    }

    /// - Parameter convert: what a big-endian machine does with each element.
    private mutating func take<Element: BitwiseCopyable>(
        _ kind: PBArrayKind, _ count: Int, _ what: @autoclosure () -> String, _ convert: (Element) -> Element
    ) throws(WireError) -> [Element] {
        guard count > 0 else { return [] }
        guard let cursor = cursors[kind], cursor.remaining >= count else {
            throw WireError(
                .lengthMismatch,
                "\(what()): needs \(count) elements of the \(kind) frame, which has \(cursors[kind]?.remaining ?? 0) left"
            )
        }
        let stride = MemoryLayout<Element>.stride
        let elements = cursor.frame.withUnsafeBytes { bytes in
            [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
                let from = bytes[cursor.position * stride..<(cursor.position + count) * stride]
                UnsafeMutableRawBufferPointer(buffer).copyMemory(from: UnsafeRawBufferPointer(rebasing: from))
                #if _endian(big)
                    for index in 0..<count { buffer[index] = convert(buffer[index]) }
                #endif
                initialized = count
            }
        }
        cursors[kind]!.position += count
        cursors[kind]!.remaining -= count
        return elements
    }
}

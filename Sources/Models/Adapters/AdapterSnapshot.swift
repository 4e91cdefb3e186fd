import Randomness

/// Adapters as they are broadcast: a head of 64 bytes, then the values in their places. Numbers are
/// little-endian.
///
/// The head: `OPDLORA1`, rank (u32), scale (f32), one bit a target that the families here name (u32), 4 zero bytes, the
/// base model's fingerprint (u64), zeros.
package struct AdapterSnapshot: Sendable {
    package let places: AdapterPlaces
    /// The fingerprint of the base model's values: adapters are of one model, and mean nothing on another.
    package let baseFingerprint: UInt64

    package init(_ places: AdapterPlaces, baseFingerprint: UInt64) {
        self.places = places
        self.baseFingerprint = baseFingerprint
    }

    static let headByteCount = 64
    private static let magic = Array("OPDLORA1".utf8)

    package var byteCount: Int { Self.headByteCount + places.parameters.byteCount }

    private var head: [UInt8] {
        var head = Self.magic
        func append<Number: FixedWidthInteger>(_ number: Number) {
            withUnsafeBytes(of: number.littleEndian) { head += $0 }
        }
        append(UInt32(places.rank))
        append(places.scale.bitPattern)
        append(places.targetBits)
        append(UInt32(0))
        append(baseFingerprint)
        return head + [UInt8](repeating: 0, count: Self.headByteCount - head.count)
    }

    /// Writes `byteCount` bytes, 64-byte aligned.
    /// - Parameter values: f32, in their places.
    package func write(_ values: UnsafeRawBufferPointer, into memory: UnsafeMutableRawBufferPointer) {
        body(ofNew: memory).copyMemory(from: values)
    }

    /// Writes `byteCount` bytes, 64-byte aligned: adapters to begin with, which change nothing.
    package func writeInitial(seed: UInt64, into memory: UnsafeMutableRawBufferPointer) {
        places.initialize(body(ofNew: memory), seed: seed)
    }

    /// Writes the head; the values' place is behind it.
    private func body(ofNew memory: UnsafeMutableRawBufferPointer) -> UnsafeMutableRawBufferPointer {
        precondition(memory.count == byteCount, "the snapshot's memory has another size")
        memory.copyBytes(from: head)
        return UnsafeMutableRawBufferPointer(rebasing: memory[Self.headByteCount...])
    }

    /// The f32 values in a snapshot, in their places.
    /// - Throws: `ModelError` when they are not adapters of this shape and base model.
    package func values(in bytes: UnsafeRawBufferPointer) throws -> UnsafeRawBufferPointer {
        func refuse(_ message: String) -> ModelError { ModelError(.invalidArgument, message) }
        guard bytes.count == byteCount, bytes.starts(with: Self.magic) else {
            throw refuse("they are not \(byteCount) bytes of adapters")
        }
        let head = head
        guard bytes[..<24].elementsEqual(head[..<24]) else {
            throw refuse("the adapters are of another lora section; give learner and worker the same")
        }
        guard bytes[24..<Self.headByteCount].elementsEqual(head[24...]) else {
            throw refuse("the adapters are of another base model; give learner and worker the same student.model")
        }
        return UnsafeRawBufferPointer(rebasing: bytes[Self.headByteCount...])
    }
}

extension ModelFiles {
    /// A fingerprint of all values in their canonical order, whatever the files are called and however they store them.
    /// Reads all of them.
    package func fingerprint() throws -> UInt64 {
        let reader = TensorReader(self)
        var fingerprint = FNVHash()
        for spec in configuration.parameters { fingerprint.add(try reader.values(of: spec.name)) }
        return fingerprint.value
    }
}

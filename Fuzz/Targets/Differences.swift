import WeightDifferences
import Wire

extension FuzzTarget {
    /// A difference between two versions of weights, applied to a base that never changes.
    static let difference = FuzzTarget(name: "difference") { bytes in
        let manifest = WeightManifest(
            matrixType: .bf16,
            tensors: [
                .init(name: "a", shape: [20], type: .bf16, byteOffset: 0),
                .init(name: "b", shape: [6], type: .f32, byteOffset: 64),
            ], byteCount: 96)
        let base = (0..<96).map { UInt8(truncatingIfNeeded: $0 * 37) }
        guard let difference = try? WeightDifference(FuzzedBytes(bytes), of: manifest) else { return }
        var result = [UInt8](repeating: 0, count: 96), inPlace = base
        let checksum = base.withUnsafeBytes { base in
            result.withUnsafeMutableBytes { try? difference.apply(to: base, into: $0) }
        }
        let again = inPlace.withUnsafeMutableBytes { try? difference.apply(to: UnsafeRawBufferPointer($0), into: $0) }
        guard checksum == again else { throw BrokenPromise("a difference does the same where its base lies") }
        guard checksum == nil || result == inPlace else {
            throw BrokenPromise("what a difference is applied to twice comes out twice")
        }
    }
}

/// `@unchecked Sendable`: written in the initializer only.
private final class FuzzedBytes: ByteStorage, @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer

    init(_ bytes: [UInt8]) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        copy.copyBytes(from: bytes)
        self.bytes = UnsafeRawBufferPointer(copy)
    }

    deinit { bytes.deallocate() }
}

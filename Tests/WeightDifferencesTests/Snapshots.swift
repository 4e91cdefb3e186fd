import Files
import TestSupport
import WeightDifferences
import Wire

/// Bytes that a test owns.
final class TestBytes: ByteStorage, @unchecked Sendable {  // Written in the initializer only.
    let bytes: UnsafeRawBufferPointer

    init(_ bytes: [UInt8]) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
        copy.copyBytes(from: bytes)
        self.bytes = UnsafeRawBufferPointer(copy)
    }

    deinit { bytes.deallocate() }
}

/// A snapshot with matrices of two bytes, vectors of four, fill, an empty tensor, and one that spans blocks.
enum Snapshots {
    static let wide = (1 << 20) + 77
    static let manifest = WeightManifest(
        matrixType: .bf16,
        tensors: [
            .init(name: "norm", shape: [33], type: .f32, byteOffset: 64),
            .init(name: "empty", shape: [0, 4], type: .bf16, byteOffset: 200),
            .init(name: "matrix", shape: [17, 31], type: .bf16, byteOffset: 256),
            .init(name: "odd place", shape: [5], type: .f32, byteOffset: 1311),
            .init(name: "wide", shape: [wide], type: .bf16, byteOffset: 1344),
        ], byteCount: 1344 + 2 * wide + 50)

    static func random(seed: UInt64, count: Int = manifest.byteCount) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count { withUnsafeBytes(of: random.next()) { bytes += $0 } }
        return Array(bytes.prefix(count))
    }

    /// The same bytes with each replaced by another one with a probability of `share`.
    static func changed(_ bytes: [UInt8], share: Double, seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        let bound = share >= 1 ? UInt64.max : UInt64(share * 0x1p64)
        return bytes.map { random.next() <= bound ? UInt8(truncatingIfNeeded: random.next()) : $0 }
    }

    static func encode(
        _ new: [UInt8], from base: [UInt8], versions: (UInt64, UInt64) = (1, 2),
        of manifest: WeightManifest = manifest
    ) -> EncodedDifference {
        base.withUnsafeBytes { base in
            new.withUnsafeBytes { new in
                WeightDifference.encode(
                    WeightVersion(version: versions.1, bytes: new, checksum: crc32(new)),
                    against: WeightVersion(version: versions.0, bytes: base, checksum: crc32(base)), of: manifest)
            }
        }
    }

    /// What comes of a base; in memory of its own, and where the base lies.
    static func apply(
        _ difference: [UInt8], to base: [UInt8], of manifest: WeightManifest = manifest
    ) throws -> [UInt8] {
        let read = try WeightDifference(TestBytes(difference), of: manifest)
        var result = [UInt8](repeating: 0xaa, count: base.count), inPlace = base
        let checksums = try (
            base.withUnsafeBytes { base in try result.withUnsafeMutableBytes { try read.apply(to: base, into: $0) } },
            inPlace.withUnsafeMutableBytes { try read.apply(to: UnsafeRawBufferPointer($0), into: $0) }
        )
        guard result == inPlace, checksums.0 == checksums.1, result.withUnsafeBytes({ crc32($0) }) == checksums.0 else {
            throw WireError(.invalidValue, "in place it is another, or the checksum is")
        }
        return result
    }
}

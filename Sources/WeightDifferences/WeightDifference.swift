import Files
import Wire

/// What one version of the weights has otherwise than the version before it, as it travels; see docs/protocol.md,
/// "Differences".
///
/// Little-endian. A head of ``headByteCount`` bytes: `OPDDIFF1`, base version (u64), version (u64), bytes of a snapshot
/// (u64), CRC-32 of the base (u32), bytes of the table (u32). The table has for every segment of the snapshot its
/// CRC-32 in the new version (u32), then for each of its blocks the number of listed elements (u32) and, where that is
/// not 0, the bytes of the gaps (u32), and the compressed bytes (u32) of the gaps and of each plane of the steps. The
/// streams follow in the table's order, each a zstd frame; one of 0 compressed bytes stands for zeros.
///
/// A gap is the number of elements between a listed one and the one listed before it in its block: as many bytes of 255
/// as go into it, and the rest. (Where changes come at random that is a memoryless source, which a coder of single bytes
/// takes to its entropy; bytes of seven bits are not one.) A step is how far an element has moved among all values of its type in their order, 1 being the next larger one, modulo the
/// type's range and zigzagged (0, -1, 1, -2 ... become 0, 1, 2, 3 ...); plane 0 has its lowest byte.
package struct WeightDifference: Sendable {
    package static let magic = Array("OPDDIFF1".utf8)
    package static let headByteCount = 40

    package let baseVersion: UInt64
    package let version: UInt64
    /// CRC-32 (zlib's) of the snapshot to which it is applied.
    package let baseChecksum: UInt32
    private let storage: any ByteStorage
    private let byteCount: Int
    private let segments: [SnapshotSegment]
    private let checksums: [UInt32]
    private let blocks: [DifferenceBlock]

    /// Reads head and table; the streams are read when it is applied.
    /// - Parameter manifest: what a snapshot is.
    /// - Throws: ``DifferenceError`` where they are not those of a difference between such snapshots.
    package init(_ storage: any ByteStorage, of manifest: WeightManifest) throws(DifferenceError) {
        var reader = DifferenceReader(storage)
        guard try reader.bytes(Self.magic.count) == Self.magic else {
            throw DifferenceError("it does not begin with \(String(decoding: Self.magic, as: UTF8.self))")
        }
        baseVersion = try reader.integer()
        version = try reader.integer()
        let snapshotByteCount: UInt64 = try reader.integer()
        guard snapshotByteCount == manifest.byteCount else {
            throw DifferenceError("it is of snapshots of \(snapshotByteCount) bytes, not \(manifest.byteCount)")
        }
        baseChecksum = try reader.integer()
        let tableByteCount = Int(try reader.integer() as UInt32)
        try reader.begin(tableOf: tableByteCount)
        segments = SnapshotSegment.all(of: manifest)
        var checksums: [UInt32] = [], blocks: [DifferenceBlock] = []
        for (index, segment) in segments.enumerated() {
            checksums.append(try reader.integer())
            for range in segment.blocks { blocks.append(try reader.block(of: index, segment, range)) }
        }
        try reader.end()
        self.storage = storage
        self.checksums = checksums
        self.blocks = blocks
        byteCount = manifest.byteCount
    }

    /// Makes the new version out of the base, on every core.
    ///
    /// - Parameters:
    ///   - base: a snapshot whose CRC-32 is ``baseChecksum``.
    ///   - result: memory of as many bytes, which may be the base's own.
    /// - Returns: the CRC-32 of the result.
    /// - Throws: ``DifferenceError`` that names the tensor which is not the new version's; `result` is of no use then.
    package func apply(
        to base: UnsafeRawBufferPointer, into result: UnsafeMutableRawBufferPointer
    ) throws(DifferenceError) -> UInt32 {
        guard base.count == byteCount, result.count == byteCount else {
            throw DifferenceError("it is of snapshots of \(byteCount) bytes, not \(base.count)")
        }
        let base = SharedMemory(UnsafeMutableRawBufferPointer(mutating: base)), result = SharedMemory(result)
        let failures = storage.withUnsafeBytes { bytes in
            let streams = SharedMemory(UnsafeMutableRawBufferPointer(mutating: bytes))
            return concurrentMap(blocks.count) { index -> DifferenceError? in
                let block = blocks[index]
                do throws(DifferenceError) {
                    try block.apply(UnsafeRawBufferPointer(streams.bytes), base.bytes, result.bytes)
                    return nil
                } catch {
                    return DifferenceError("\(segments[block.segment].name): \(error.message)")
                }
            }
        }
        for case let failure? in failures { throw failure }
        return try checked(UnsafeRawBufferPointer(result.bytes))
    }

    /// Checks every segment, and returns the CRC-32 of all.
    private func checked(_ result: UnsafeRawBufferPointer) throws(DifferenceError) -> UInt32 {
        let found = SnapshotSegment.checksums(of: segments, result)
        for (index, segment) in segments.enumerated() where found[index] != checksums[index] {
            throw DifferenceError("\(segment.name) is not what the learner has")
        }
        return SnapshotSegment.joined(segments, found)
    }
}

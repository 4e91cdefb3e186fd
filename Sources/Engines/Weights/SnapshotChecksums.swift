import CPlatform
import Dispatch
import Files

/// CRC-32 (zlib's) of a snapshot, as a whole and chunk by chunk, computed on every core.
package struct SnapshotChecksums: Sendable {
    package let whole: UInt32
    package let chunks: [UInt32]

    /// - Parameter chunkByteCount: bytes of a chunk, of which the last may have fewer; at least 1.
    package init(_ snapshot: WeightBytes, chunkByteCount: Int) {
        @Sendable func chunk(_ index: Int) -> UnsafeRawBufferPointer {
            let start = index * chunkByteCount
            return UnsafeRawBufferPointer(rebasing: snapshot.bytes[start..<min(start + chunkByteCount, snapshot.count)])
        }
        let count = (snapshot.count + chunkByteCount - 1) / chunkByteCount
        chunks = [UInt32](unsafeUninitializedCapacity: count) { sums, initialized in
            let sums = DisjointSums(base: sums.baseAddress)
            DispatchQueue.concurrentPerform(iterations: count) { sums.base?[$0] = crc32(chunk($0)) }
            initialized = count
        }
        whole = zip(chunks.indices, chunks).reduce(0) { sum, next in
            cplatform_crc32_joined(sum, next.1, chunk(next.0).count)
        }
    }
}

/// `@unchecked Sendable`: every thread writes elements of its own.
private struct DisjointSums: @unchecked Sendable {
    package let base: UnsafeMutablePointer<UInt32>?
}

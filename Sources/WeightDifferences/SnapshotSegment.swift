import CPlatform
import Files
import Wire

/// A stretch of a snapshot whose elements are of one type: a tensor, or bytes that no tensor covers.
struct SnapshotSegment: Sendable {
    /// The tensor's, or where the bytes lie.
    let name: String
    /// Bytes of an element: 1, 2 or 4.
    let width: Int
    let range: Range<Int>

    /// Elements of a block, the last of a segment excepted: what is coded together, by one thread.
    static let blockElements = 1 << 20

    /// The segments of a snapshot, which they cover without gaps, in the order of their places.
    static func all(of manifest: WeightManifest) -> [SnapshotSegment] {
        var segments: [SnapshotSegment] = [], end = 0
        func addFill(to place: Int) {
            guard place > end else { return }
            segments.append(SnapshotSegment(name: "bytes \(end) to \(place - 1)", width: 1, range: end..<place))
        }
        for tensor in manifest.tensors.sorted(by: { $0.byteOffset < $1.byteOffset }) where tensor.byteCount > 0 {
            addFill(to: tensor.byteOffset)
            end = tensor.byteOffset + tensor.byteCount
            segments.append(
                SnapshotSegment(name: tensor.name, width: tensor.type.byteCount, range: tensor.byteOffset..<end))
        }
        if segments.isEmpty, manifest.byteCount % manifest.matrixType.byteCount == 0 {
            // It is not told what lies where; most of it will be matrices.
            return [
                SnapshotSegment(name: "weights", width: manifest.matrixType.byteCount, range: 0..<manifest.byteCount)
            ]
        }
        addFill(to: manifest.byteCount)
        return segments
    }

    /// The places of its blocks.
    var blocks: [Range<Int>] {
        stride(from: range.lowerBound, to: range.upperBound, by: Self.blockElements * width).map {
            $0..<min($0 + Self.blockElements * width, range.upperBound)
        }
    }

    /// CRC-32 (zlib's) of each segment of a snapshot, computed on every core.
    static func checksums(of segments: [SnapshotSegment], _ snapshot: UnsafeRawBufferPointer) -> [UInt32] {
        let snapshot = SharedMemory(UnsafeMutableRawBufferPointer(mutating: snapshot))
        let parts = segments.enumerated().flatMap { index, segment in segment.blocks.map { (index, $0) } }
        let sums = concurrentMap(parts.count) {
            crc32(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(snapshot.bytes)[parts[$0].1]))
        }
        var checksums = [UInt32](repeating: 0, count: segments.count)
        for (part, sum) in zip(parts, sums) {
            checksums[part.0] = cplatform_crc32_joined(checksums[part.0], sum, part.1.count)
        }
        return checksums
    }

    /// CRC-32 of the whole snapshot, from those of its segments.
    static func joined(_ segments: [SnapshotSegment], _ checksums: [UInt32]) -> UInt32 {
        zip(segments, checksums).reduce(0) { cplatform_crc32_joined($0, $1.1, $1.0.range.count) }
    }
}

import Wire

/// A difference that was made, and what it is worth.
package struct EncodedDifference: Sendable {
    package let bytes: [UInt8]
    /// Elements whose bits have changed, and all.
    package let changed: Int
    package let elements: Int

    /// The share of elements whose bits have changed.
    package var density: Double { elements > 0 ? Double(changed) / Double(elements) : 0 }
}

/// A version of the weights in memory.
package struct WeightVersion {
    package var version: UInt64
    package var bytes: UnsafeRawBufferPointer
    /// CRC-32 (zlib's) of the bytes.
    package var checksum: UInt32

    package init(version: UInt64, bytes: UnsafeRawBufferPointer, checksum: UInt32) {
        self.version = version
        self.bytes = bytes
        self.checksum = checksum
    }
}

extension WeightDifference {
    /// Makes the difference that leads from one version to another, on every core.
    /// - Parameter manifest: what both are.
    package static func encode(
        _ new: WeightVersion, against base: WeightVersion, of manifest: WeightManifest
    ) -> EncodedDifference {
        precondition(new.bytes.count == manifest.byteCount && base.bytes.count == manifest.byteCount)
        let segments = SnapshotSegment.all(of: manifest)
        let places = segments.enumerated().flatMap { index, segment in
            segment.blocks.map { DifferenceBlock(segment: index, width: segment.width, range: $0) }
        }
        let old = SharedMemory(UnsafeMutableRawBufferPointer(mutating: base.bytes))
        let now = SharedMemory(UnsafeMutableRawBufferPointer(mutating: new.bytes))
        let blocks = concurrentMap(places.count) { index in
            let range = places[index].range
            return EncodedBlock(
                UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(now.bytes)[range]),
                against: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(old.bytes)[range]),
                width: places[index].width)
        }
        let checksums = SnapshotSegment.checksums(of: segments, new.bytes)
        var table = DifferenceWriter(), last = -1
        for (place, block) in zip(places, blocks) {
            if place.segment != last { table.append(checksums[place.segment]) }
            last = place.segment
            block.describe(in: &table)
        }
        var writer = DifferenceWriter()
        writer.bytes += magic
        writer.append(base.version)
        writer.append(new.version)
        writer.append(UInt64(manifest.byteCount))
        writer.append(base.checksum)
        writer.append(UInt32(table.bytes.count))
        writer.bytes += table.bytes
        for block in blocks { for stream in block.streams { writer.bytes += stream } }
        return EncodedDifference(
            bytes: writer.bytes, changed: blocks.reduce(0) { $0 + $1.changed },
            elements: places.reduce(0) { $0 + $1.range.count / $1.width })
    }
}

/// Bytes to which little-endian numbers are added.
struct DifferenceWriter {
    var bytes: [UInt8] = []

    mutating func append<Number: FixedWidthInteger>(_ number: Number) {
        withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
    }
}

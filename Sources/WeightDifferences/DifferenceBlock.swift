/// The listed elements of one block of a snapshot, as the table tells of them.
struct DifferenceBlock: Sendable {
    /// Number of the segment of which it is a part.
    let segment: Int
    /// Bytes of an element.
    let width: Int
    /// Its place in the snapshot.
    let range: Range<Int>
    /// Number of listed elements.
    var listed = 0
    /// Bytes of their gaps, before compression.
    var gapByteCount = 0
    /// Where the gaps and the planes of the steps are in the difference.
    var streams: [Range<Int>] = []

    init(segment: Int, width: Int, range: Range<Int>) {
        self.segment = segment
        self.width = width
        self.range = range
    }

    /// Copies the block's elements from one snapshot to another, or leaves them where they are, and moves those that are
    /// listed.
    func apply(
        _ bytes: UnsafeRawBufferPointer, _ base: UnsafeMutableRawBufferPointer, _ result: UnsafeMutableRawBufferPointer
    ) throws(DifferenceError) {
        let target = UnsafeMutableRawBufferPointer(rebasing: result[range])
        if base.baseAddress != result.baseAddress {
            target.copyMemory(from: UnsafeRawBufferPointer(rebasing: base[range]))
        }
        guard listed > 0 else { return }
        // The gaps, then the planes one after the other.
        let listing = UnsafeMutableRawBufferPointer.allocate(byteCount: gapByteCount + width * listed, alignment: 64)
        defer { listing.deallocate() }
        var end = 0
        for (number, stream) in streams.enumerated() {
            let range = end..<(end + (number == 0 ? gapByteCount : listed))
            end = range.upperBound
            try Zstandard.decompress(
                UnsafeRawBufferPointer(rebasing: bytes[stream]),
                into: UnsafeMutableRawBufferPointer(rebasing: listing[range]))
        }
        guard let listing = listing.baseAddress else { return }
        switch width {
        case 1: try move(target, UnsafeRawPointer(listing), as: UInt8.self)
        case 2: try move(target, UnsafeRawPointer(listing), as: UInt16.self)
        default: try move(target, UnsafeRawPointer(listing), as: UInt32.self)
        }
    }

    private func move<Element: WeightElement>(
        _ target: UnsafeMutableRawBufferPointer, _ listing: UnsafeRawPointer, as type: Element.Type
    ) throws(DifferenceError) {
        let elements = target.count / width, planes = listing + gapByteCount
        var next = 0, read = 0
        for index in 0..<listed {
            var byte: UInt8
            repeat {
                guard read < gapByteCount else { throw DifferenceError("it has more elements than gaps") }
                byte = listing.load(fromByteOffset: read, as: UInt8.self)
                next += Int(byte)
                read += 1
            } while byte == 0xff
            guard next < elements else { throw DifferenceError("its gaps lead out of it") }
            var step: Element = 0
            for plane in 0..<MemoryLayout<Element>.size {
                let part = planes.load(fromByteOffset: plane * listed + index, as: UInt8.self)
                step |= Element(part) << Element(8 * plane)
            }
            let place = next * width
            let old = target.loadUnaligned(fromByteOffset: place, as: Element.self)
            target.storeBytes(of: old.moved(by: step), toByteOffset: place, as: Element.self)
            next += 1
        }
        guard read == gapByteCount else { throw DifferenceError("it has more gaps than elements") }
    }
}

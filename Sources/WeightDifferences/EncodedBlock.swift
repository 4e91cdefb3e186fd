/// The difference of one block: which elements are listed, and how far they have moved.
struct EncodedBlock: Sendable {
    private(set) var changed = 0
    private var listed = 0
    private var gapByteCount = 0
    /// Compressed gaps, and planes of the steps; none where no element is listed.
    private(set) var streams: [[UInt8]] = []

    /// - Parameter width: bytes of an element.
    init(_ new: UnsafeRawBufferPointer, against base: UnsafeRawBufferPointer, width: Int) {
        switch width {
        case 1: encode(new, base, UInt8.self)
        case 2: encode(new, base, UInt16.self)
        default: encode(new, base, UInt32.self)
        }
    }

    /// Adds the block's line to the table.
    func describe(in table: inout DifferenceWriter) {
        table.append(UInt32(listed))
        guard listed > 0 else { return }
        table.append(UInt32(gapByteCount))
        for stream in streams { table.append(UInt32(stream.count)) }
    }

    private mutating func encode<Element: WeightElement>(
        _ new: UnsafeRawBufferPointer, _ base: UnsafeRawBufferPointer, _ type: Element.Type
    ) {
        let width = MemoryLayout<Element>.size, count = new.count / width
        guard count > 0, let new = new.baseAddress, let base = base.baseAddress else { return }
        func element(_ memory: UnsafeRawPointer, _ index: Int) -> Element {
            memory.loadUnaligned(fromByteOffset: index &* width, as: Element.self)
        }
        /// Visits the elements in their order, passing over stretches of 32 bytes in which nothing has changed: nearly all.
        func visit(_ body: (Int) -> Void) {
            let wide = 32 / width
            var index = 0
            while index < count {
                let end = min(index &+ wide, count)
                let isSame =
                    end &- index == wide
                    && new.loadUnaligned(fromByteOffset: index &* width, as: SIMD4<UInt64>.self)
                        == base.loadUnaligned(fromByteOffset: index &* width, as: SIMD4<UInt64>.self)
                if !isSame { for place in index..<end { body(place) } }
                index = end
            }
        }
        // Counted first, so that as much memory as it takes is asked for.
        var different = 0
        visit { different &+= element(new, $0) == element(base, $0) ? 0 : 1 }
        changed = different
        guard changed > 0 else { return }
        // Where most have changed, steps of 0 are shorter than gaps: then all are listed.
        let listsAll = changed > count / 2
        listed = listsAll ? count : changed
        // A gap of g takes at most g + 1 bytes, as many as the elements that it passes and ends with.
        let planes = UnsafeMutableRawBufferPointer.allocate(byteCount: listed * width + count, alignment: 64)
        defer { planes.deallocate() }
        let gaps = UnsafeMutableRawBufferPointer(rebasing: planes[(listed * width)...])
        guard let planeBase = planes.baseAddress, let gapBase = gaps.baseAddress else { return }
        var found = 0, next = 0, gapBytes = 0
        func list(_ index: Int, _ step: Element) {
            var gap = index - next
            while gap >= 0xff {
                gapBase.storeBytes(of: 0xff, toByteOffset: gapBytes, as: UInt8.self)
                gap &-= 0xff
                gapBytes &+= 1
            }
            gapBase.storeBytes(of: UInt8(gap), toByteOffset: gapBytes, as: UInt8.self)
            gapBytes &+= 1
            for plane in 0..<width {
                let byte = UInt8(truncatingIfNeeded: step >> Element(8 * plane))
                planeBase.storeBytes(of: byte, toByteOffset: plane &* listed &+ found, as: UInt8.self)
            }
            next = index &+ 1
            found &+= 1
        }
        if listsAll {
            for index in 0..<count { list(index, element(new, index).step(from: element(base, index))) }
        } else {
            visit { index in
                let step = element(new, index).step(from: element(base, index))
                if step != 0 { list(index, step) }
            }
        }
        gapByteCount = gapBytes
        streams = [Zstandard.compressed(UnsafeRawBufferPointer(rebasing: gaps[..<gapBytes]))]
        for plane in 0..<width {
            streams.append(
                Zstandard.compressed(
                    UnsafeRawBufferPointer(rebasing: planes[(plane * listed)..<((plane + 1) * listed)])))
        }
    }
}

import Foundation

/// Memory for one version of the weights, 64-byte aligned: of this process, or of a file that others map too.
///
/// `@unchecked Sendable`: whoever has the ``WeightPlace`` writes it, before its bytes are handed out as ``WeightBytes``;
/// it is written again only when nothing else refers to it.
package final class WeightMemory: @unchecked Sendable {
    /// Valid for as long as the object lives, which a bare `memory.bytes` does not see to: see `withBytes`.
    package let bytes: UnsafeMutableRawBufferPointer
    private let isMapped: Bool
    private static let hugePage = 2 << 20

    /// Fresh memory of this process.
    package init(byteCount: Int) {
        // Large pages where the system has them: a snapshot is hundreds of megabytes, made anew for every version.
        let isLarge = byteCount >= Self.hugePage
        let alignment = isLarge ? Self.hugePage : 64
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(byteCount, 1), alignment: alignment)
        if isLarge { madvise(memory, byteCount, Int32(MADV_HUGEPAGE)) }
        bytes = UnsafeMutableRawBufferPointer(start: memory, count: byteCount)
        isMapped = false
    }

    /// The first `byteCount` bytes of a file, to be read and written; nil where they cannot be mapped.
    init?(mapping descriptor: Int32, byteCount: Int) {
        let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let base, base != MAP_FAILED else { return nil }
        bytes = UnsafeMutableRawBufferPointer(start: base, count: byteCount)
        isMapped = true
    }

    /// Calls `body` with the bytes, keeping the object alive meanwhile.
    package func withBytes<Result>(_ body: (UnsafeMutableRawBufferPointer) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(self) { try body(bytes) }
    }

    deinit {
        if isMapped { munmap(bytes.baseAddress, bytes.count) } else { bytes.deallocate() }
    }
}

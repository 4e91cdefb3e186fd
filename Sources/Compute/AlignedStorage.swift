import Glibc

/// A block of memory with one owner, 64-byte aligned and zero-filled.
package final class AlignedStorage {
    package let base: UnsafeMutableRawPointer
    package let byteCount: Int
    private let chunk: ArenaChunk?
    /// Room after the end, so that a vector load at the last element stays inside.
    fileprivate static let slack = 64
    fileprivate static let hugePage = 2 << 20

    package init(byteCount: Int) {
        var raw: UnsafeMutableRawPointer?
        var size = (max(byteCount, 1) + Self.slack + 63) & ~63
        let huge = size >= Self.hugePage / 2
        if huge { size = (size + Self.hugePage - 1) & ~(Self.hugePage - 1) }
        let status = posix_memalign(&raw, huge ? Self.hugePage : 64, size)
        // Running out of memory has no recovery here, as for any Swift allocation.
        guard status == 0, let raw else { fatalError("out of memory: \(size) bytes for a tensor") }
        // Weights are streamed: with small pages the hardware prefetchers would stop every 4 KB. Only a hint.
        if huge { madvise(raw, size, Int32(MADV_HUGEPAGE)) }
        // Zeroing also touches every page: the first timed use is not a page fault.
        memset(raw, 0, size)
        base = raw
        self.byteCount = byteCount
        chunk = nil
    }

    /// Zero-filled memory inside an arena's chunk, which it keeps alive.
    fileprivate init(base: UnsafeMutableRawPointer, byteCount: Int, chunk: ArenaChunk) {
        self.base = base
        self.byteCount = byteCount
        self.chunk = chunk
    }

    deinit { if chunk == nil { free(base) } }
}

/// Many blocks of memory side by side in large chunks: weights and cache pages, which would each waste the rest of
/// their last large page. A chunk is returned when no block of it is in use.
final class StorageArena {
    private static let chunkBytes = 64 << 20
    private var chunk: ArenaChunk?
    private var used = 0

    /// Zero-filled, 64-byte aligned.
    func allocate(byteCount: Int) -> AlignedStorage {
        let size = (max(byteCount, 1) + AlignedStorage.slack + 63) & ~63
        if let chunk, used + size <= chunk.byteCount { return block(chunk, size, byteCount) }
        // What is left of the old chunk has never been touched and so takes no memory.
        let made = ArenaChunk(byteCount: max(Self.chunkBytes, size))
        chunk = made
        used = 0
        return block(made, size, byteCount)
    }

    private func block(_ chunk: ArenaChunk, _ size: Int, _ byteCount: Int) -> AlignedStorage {
        defer { used += size }
        return AlignedStorage(base: chunk.base + used, byteCount: byteCount, chunk: chunk)
    }
}

/// Memory straight from the system: zero, and not there until it is touched.
private final class ArenaChunk {
    let base: UnsafeMutableRawPointer
    let byteCount: Int
    private let mapping: UnsafeMutableRawPointer
    private let mappedBytes: Int

    init(byteCount: Int) {
        let huge = AlignedStorage.hugePage
        self.byteCount = (byteCount + huge - 1) & ~(huge - 1)
        mappedBytes = self.byteCount + huge
        let address = mmap(nil, mappedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        // Running out of memory has no recovery here, as for any Swift allocation.
        guard let address, address != MAP_FAILED else { fatalError("out of memory: \(mappedBytes) bytes") }
        mapping = address
        base = UnsafeMutableRawPointer(bitPattern: (UInt(bitPattern: address) + UInt(huge) - 1) & ~(UInt(huge) - 1))!
        madvise(base, self.byteCount, Int32(MADV_HUGEPAGE))
    }

    deinit { munmap(mapping, mappedBytes) }
}

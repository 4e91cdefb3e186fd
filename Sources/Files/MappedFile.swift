import Glibc

/// A file mapped read-only into memory.
package final class MappedFile: Sendable {
    package let path: String
    // Written by nobody after init, unmapped when the last reference goes: safe to share although it holds a pointer.
    package nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

    package init(_ path: String) throws(FileError) {
        self.path = path
        let file = try OpenFile.reading(path)
        let size = try file.size()
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, file.descriptor.rawValue, 0)
        guard let address, address != MAP_FAILED else { throw FileError(path, .map, code: errno) }
        bytes = UnsafeRawBufferPointer(start: address, count: size)
    }

    /// Calls `body` with some of the bytes, and gives their memory back afterwards: a model is read once, and what was
    /// read would count as this process's as long as the file is mapped.
    package func withBytes<R>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        defer {
            let page = Int(getpagesize())
            let first = (range.lowerBound + page - 1) / page * page, last = range.upperBound / page * page
            if first < last, let base = bytes.baseAddress {
                // Clean pages of a file: reading them again brings them back. A hint, whose failure does no harm.
                madvise(UnsafeMutableRawPointer(mutating: base + first), last - first, Int32(MADV_DONTNEED))
            }
        }
        return try body(UnsafeRawBufferPointer(rebasing: bytes[range]))
    }

    deinit {
        if let address = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), bytes.count) }
    }
}

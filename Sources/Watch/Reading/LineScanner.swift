import Files
import Glibc
import SystemPackage

/// Walks the lines of a file that may be large, or not be what it should be, in a bounded amount of memory.
///
/// A last line without a line feed is left out, as it is not whole yet. Links are not followed: a run folder that came
/// from elsewhere could lead to any file of this user.
package struct LineScanner {
    /// Where a scan goes on when the file has grown.
    package struct Position: Sendable, Equatable {
        /// The place of the first byte that was not looked at, or belongs to a line without an end yet.
        package var offset = 0
        /// Whether all up to the next line feed is left out.
        package var isWithinLine = false

        package init() {}
    }

    /// What a scan has seen of a file.
    package struct Report: Sendable, Equatable {
        /// Lines above the limit, which were left out.
        package var tooLong = 0
        /// Bytes of the file.
        package var size = 0
        /// Whether parts of it were left out because it is larger than the budget.
        package var isSampled = false
        package var end = Position()
    }

    /// Most bytes of a line; longer ones are left out and counted.
    package var limit: Int
    /// Most bytes that are read; of a larger file evenly spread stretches, the first and the last bytes among them.
    package var budget: Int

    static let stretches = 64
    private static let firstCapacity = 1 << 20

    package init(limit: Int = 1 << 24, budget: Int = .max) {
        self.limit = limit
        self.budget = budget
    }

    /// Calls `line` with every line, without its line feed, and with where in the file it begins.
    package func scan(
        _ path: String, _ line: (_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Void
    ) throws(FileError) -> Report {
        try scan(try OpenFile.reading(path, followsLinks: false), from: Position(), line)
    }

    /// Does the same with what of an open file comes after a position.
    func scan(
        _ file: borrowing OpenFile, from position: Position, _ line: (UnsafeRawBufferPointer, Int) -> Void
    ) throws(FileError) -> Report {
        var report = Report(size: try file.size())
        let rest = report.size - position.offset
        var buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(Self.firstCapacity, max(4096, rest + 1)), alignment: 16)
        defer { buffer.deallocate() }
        guard rest > budget else {
            try scan(file, position.offset..<Int.max, position.isWithinLine, &buffer, &report, line)
            return report
        }
        report.isSampled = true
        let length = max(1, budget / Self.stretches)
        for index in 0..<Self.stretches {
            let start = position.offset + (rest - length) * index / (Self.stretches - 1)
            let skips = index > 0 || position.isWithinLine
            try scan(file, start..<(start + length), skips, &buffer, &report, line)
        }
        return report
    }

    /// Reads the lines that begin within some bytes of the file.
    /// - Parameter skips: whether a line that began before is left out first.
    private func scan(
        _ file: borrowing OpenFile, _ range: Range<Int>, _ skips: Bool,
        _ buffer: inout UnsafeMutableRawBufferPointer, _ report: inout Report,
        _ line: (UnsafeRawBufferPointer, Int) -> Void
    ) throws(FileError) {
        do { try file.descriptor.seek(offset: Int64(range.lowerBound), from: .start) } catch {
            throw FileError(file.path, .read, error as? Errno ?? .ioError)
        }
        var base = range.lowerBound, filled = 0
        // A line that began before the range, or is too long: nothing counts up to its end.
        var skips = skips
        while true {
            if filled == buffer.count {
                if filled > limit {
                    if !skips { report.tooLong += 1 }
                    skips = true
                    base += filled
                    filled = 0
                } else {
                    let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: buffer.count * 2, alignment: 16)
                    larger.copyMemory(from: UnsafeRawBufferPointer(buffer))
                    buffer.deallocate()
                    buffer = larger
                }
            }
            let count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
            guard count > 0 else { break }
            var searched = filled, start = 0
            filled += count
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<filled])
            while let end = Self.lineFeed(in: bytes, from: searched) {
                if skips {
                    skips = false
                } else if base + start >= range.upperBound {
                    report.end.offset = base + start
                    report.end.isWithinLine = false
                    return
                } else if end - start > limit {
                    report.tooLong += 1
                } else {
                    line(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), base + start)
                }
                start = end + 1
                searched = start
            }
            if start > 0, let address = buffer.baseAddress {
                memmove(address, address + start, filled - start)
                base += start
                filled -= start
            }
            if base >= range.upperBound { break }
        }
        report.end.offset = skips ? base + filled : base
        report.end.isWithinLine = skips
    }

    private static func lineFeed(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard start < bytes.count, let base = bytes.baseAddress,
            let found = memchr(base + start, 0x0a, bytes.count - start)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }
}

/// Reads single places of a file again.
package struct PlaceReader: ~Copyable {
    private let file: OpenFile

    package init(_ path: String) throws(FileError) { file = try OpenFile.reading(path, followsLinks: false) }

    /// `count` bytes from `offset`; fewer at the file's end, none when they cannot be read.
    package func read(_ count: Int, at offset: Int) -> [UInt8] {
        guard (try? file.descriptor.seek(offset: Int64(offset), from: .start)) != nil else { return [] }
        return (try? file.read(count: count)) ?? []
    }
}

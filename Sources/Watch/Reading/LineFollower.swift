import Files
import Glibc
import SystemPackage

/// Follows a file of lines that grows: every look reads only what has come since the last.
///
/// The file may be cut, as a run that goes on from a checkpoint does, or be another one under the same name: both are
/// noticed, and it is read from its beginning then.
package struct LineFollower: Sendable {
    private let scanner: LineScanner
    private var position = LineScanner.Position()
    private var size = -1
    private var device: UInt64 = 0
    private var inode: UInt64 = 0
    /// The last bytes before the position: where they have changed, the file was cut and written on meanwhile.
    private var tail: [UInt8] = []

    private static let tailLength = 256

    package init(_ scanner: LineScanner) { self.scanner = scanner }

    /// Whether there is anything that was read before.
    package var hasBegun: Bool { size >= 0 }

    /// Reads what has come.
    /// - Parameters:
    ///   - begin: called before the first line of a file that is not the one that was followed so far.
    ///   - line: called with every new line, and with where in the file it begins.
    /// - Returns: nil where nothing has come.
    package mutating func follow(
        _ path: String, begin: () -> Void, line: (_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Void
    ) throws(FileError) -> LineScanner.Report? {
        let file = try OpenFile.reading(path, followsLinks: false)
        let status = try file.status()
        let (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino))
        let size = max(0, Int(status.st_size))
        let isSame = self.size >= 0 && (device, inode) == (self.device, self.inode) && size >= position.offset
        if isSame, size == self.size { return nil }
        if !isSame || !isContinued(in: file) {
            position = LineScanner.Position()
            tail = []
            (self.device, self.inode) = (device, inode)
            begin()
        }
        let report = try scanner.scan(file, from: position, line)
        position = report.end
        self.size = report.size
        tail = Self.read(file, Self.tailLength, before: position.offset)
        return report
    }

    /// Forgets the file, as when it is no longer there.
    package mutating func forget() { self = LineFollower(scanner) }

    private func isContinued(in file: borrowing OpenFile) -> Bool {
        Self.read(file, tail.count, before: position.offset) == tail
    }

    private static func read(_ file: borrowing OpenFile, _ count: Int, before offset: Int) -> [UInt8] {
        let start = max(0, offset - count)
        guard start < offset, (try? file.descriptor.seek(offset: Int64(start), from: .start)) != nil else { return [] }
        return (try? file.read(count: offset - start)) ?? []
    }
}

/// Tells by its outside whether a small file may have changed.
struct FileStamp: Equatable, Sendable {
    private let inode: UInt64
    private let size: Int
    private let seconds: Int
    private let nanoseconds: Int

    /// - Returns: nil where there is no file.
    init?(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        inode = UInt64(status.st_ino)
        size = Int(status.st_size)
        (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    }
}

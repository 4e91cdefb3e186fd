import Files

/// An append-only file of JSON lines that each begin with `{"step": N`; every line is written whole and at once.
package final class JSONLinesFile: Sendable {
    package let path: String
    private let file: OpenFile
    /// Bytes that were there when it was opened, and were kept.
    package let keptByteCount: Int

    /// Opens or creates the file.
    ///
    /// - Parameter lastStep: lines of later steps are cut off, and so is a last line that was not written whole: a
    ///   run that resumes from the checkpoint of this step writes them again. nil starts an empty file.
    /// - Parameter staging: a folder in which the file is made anew before it takes the place of the one at `path`. What
    ///   an earlier process still writes goes into that one, which then has no name; and once that folder is gone this
    ///   process takes nobody's place. nil: the file itself is opened.
    package init(path: String, resumingAfter lastStep: Int?, staging: String? = nil) throws(TelemetryError) {
        self.path = path
        do {
            if let staging {
                file = try Self.renewed(path, resumingAfter: lastStep, staging: staging)
                keptByteCount = file.position ?? 0
                return
            }
            // A link in a run folder that came from elsewhere could lead to any file of this user.
            let file = try OpenFile(
                path, .readWrite, lastStep == nil ? [.create, .noFollow, .truncate] : [.create, .noFollow],
                permissions: [.ownerReadWrite, .groupRead, .otherRead], attempt: .openForWriting)
            var kept = 0
            if let lastStep {
                kept = Self.keptLength(of: try file.readAll(), lastStep: lastStep)
                try file.cut(to: kept)
            }
            keptByteCount = kept
            self.file = file
        } catch {
            throw TelemetryError(error)
        }
    }

    private static func renewed(
        _ path: String, resumingAfter lastStep: Int?, staging: String
    ) throws(FileError) -> OpenFile {
        var kept: [UInt8] = []
        if let lastStep, FileTree.kind(path) != .missing {
            kept = try OpenFile.reading(path, followsLinks: false).readAll()
            kept.removeLast(kept.count - keptLength(of: kept, lastStep: lastStep))
        }
        let staged = staging.appendingPath(path.split(separator: "/").last.map(String.init) ?? path)
        try FileTree.remove(staged)
        let file = try OpenFile(
            staged, .readWrite, [.create, .exclusiveCreate, .noFollow],
            permissions: [.ownerReadWrite, .groupRead, .otherRead], attempt: .openForWriting)
        try file.write(kept)
        try file.sync()
        try FileTree.rename(staged, to: path)
        return file
    }

    /// Opens a file whose lines all stay.
    init(continuing path: String) throws(TelemetryError) {
        self.path = path
        do {
            let file = try OpenFile(path, .readWrite, .noFollow, attempt: .openForWriting)
            let size = try file.size()
            try file.cut(to: size)
            keptByteCount = size
            self.file = file
        } catch {
            throw TelemetryError(error)
        }
    }

    /// Appends one line and hands it to the system before it returns.
    package func append(_ line: String) throws(TelemetryError) {
        let start = file.position
        do { try file.write(line + "\n") } catch {
            // A torn line would spoil the file for every reader: take it back.
            if let start { try? file.cut(to: start) }
            throw TelemetryError(error)
        }
    }

    /// Bytes before the first line that is later than `lastStep`, not whole, or not a step's line.
    package static func keptLength(of bytes: [UInt8], lastStep: Int) -> Int {
        var kept = 0
        var start = 0
        while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            guard let step = step(of: bytes[start..<end]), step <= lastStep else { break }
            start = end + 1
            kept = start
        }
        return kept
    }

    /// The number after `{"step":`, nil when the line begins otherwise.
    package static func step(of line: ArraySlice<UInt8>) -> Int? {
        let prefix = Array("{\"step\":".utf8)
        guard line.starts(with: prefix) else { return nil }
        let digits = line.dropFirst(prefix.count).drop { $0 == 0x20 }.prefix { (0x30...0x39).contains($0) }
        return Int(String(decoding: digits, as: UTF8.self))
    }
}

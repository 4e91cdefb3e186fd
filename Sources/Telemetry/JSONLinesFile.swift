import Files

/// An append-only file of JSON lines that each begin with `{"step": N`; every line is written whole and at once.
package final class JSONLinesFile: Sendable {
    private let file: OpenFile
    /// Bytes that were there when it was opened, and were kept.
    package let keptByteCount: Int

    /// Opens or creates the file.
    ///
    /// - Parameter lastStep: lines of later steps are cut off, and so is a last line that was not written whole: a
    ///   run that resumes from the checkpoint of this step writes them again. nil starts an empty file.
    package init(path: String, resumingAfter lastStep: Int?) throws(TelemetryError) {
        do {
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

    /// Opens a file whose lines all stay.
    init(continuing path: String) throws(TelemetryError) {
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

    package var path: String { file.path }

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

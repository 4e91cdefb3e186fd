import Glibc

/// An append-only file of JSON lines that each begin with `{"step": N`; every line is written whole and at once.
package final class JSONLinesFile: Sendable {
    package let path: String
    private let descriptor: Int32
    /// Bytes that were there when it was opened, and were kept.
    package let keptByteCount: Int

    /// Opens or creates the file.
    ///
    /// - Parameter lastStep: lines of later steps are cut off, and so is a last line that was not written whole: a
    ///   run that resumes from the checkpoint of this step writes them again. nil starts an empty file.
    package init(path: String, resumingAfter lastStep: Int?) throws(TelemetryError) {
        self.path = path
        // A link in a run folder that came from elsewhere could lead to any file of this user.
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (lastStep == nil ? O_TRUNC : 0), 0o644)
        guard descriptor >= 0 else {
            throw TelemetryError(.cannotOpen, "\(path): cannot be opened for writing: \(errorText(errno))")
        }
        self.descriptor = descriptor
        if let lastStep {
            let bytes = try Self.contents(of: descriptor, path)
            let kept = Self.keptLength(of: bytes, lastStep: lastStep)
            guard ftruncate(descriptor, kept) == 0, lseek(descriptor, kept, SEEK_SET) == kept else {
                throw TelemetryError(.cannotWrite, "\(path): cannot be cut: \(errorText(errno))")
            }
            keptByteCount = kept
        } else {
            keptByteCount = 0
        }
    }

    deinit { close(descriptor) }

    /// Appends one line and hands it to the system before it returns.
    package func append(_ line: String) throws(TelemetryError) {
        var bytes = Array(line.utf8)
        bytes.append(UInt8(ascii: "\n"))
        let start = lseek(descriptor, 0, SEEK_CUR)
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + done, $0.count - done) }
            if count < 0 {
                if errno == EINTR { continue }
                let reason = errorText(errno)
                // A torn line would spoil the file for every reader: take it back.
                if start >= 0, ftruncate(descriptor, start) == 0 { lseek(descriptor, start, SEEK_SET) }
                throw TelemetryError(.cannotWrite, "\(path): cannot be written: \(reason)")
            }
            done += count
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

    private static func contents(of descriptor: Int32, _ path: String) throws(TelemetryError) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw TelemetryError(.cannotRead, "\(path): cannot be read: \(errorText(errno))")
            }
            bytes += buffer[..<count]
        }
    }
}

func errorText(_ code: Int32) -> String { String(cString: strerror(code)) }

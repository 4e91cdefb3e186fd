import Glibc

/// The end of a log, for the message about the process that wrote it.
enum LogTail {
    /// The last lines that are not empty, oldest first; control characters are left out.
    static func lines(of path: String, count: Int = 5, bytes limit: Int = 4096) -> [String] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        let start = max(0, Int(lseek(descriptor, 0, SEEK_END)) - limit)
        var bytes = [UInt8](repeating: 0, count: limit)
        let read = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, limit, start) }
        var lines = bytes.prefix(max(0, read)).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        // The first line of a tail is seldom whole.
        if start > 0, lines.count > 1 { lines.removeFirst() }
        return lines.map { String(decoding: $0.filter { $0 >= 0x20 && $0 != 0x7f }, as: UTF8.self) }
            .filter { !$0.allSatisfy(\.isWhitespace) }.suffix(count)
    }
}

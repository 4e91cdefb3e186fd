import Files

/// The end of a log, for the message about the process that wrote it.
package enum LogTail {
    /// The last lines that are not empty, oldest first; control characters are left out.
    package static func lines(of path: String, count: Int = 5, bytes limit: Int = 4096) -> [String] {
        guard let end = try? FileTree.end(of: path, count: limit) else { return [] }
        var lines = end.bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        // The first line of a tail is seldom whole.
        if !end.isWhole, lines.count > 1 { lines.removeFirst() }
        return lines.map { String(decoding: $0.filter { $0 >= 0x20 && $0 != 0x7f }, as: UTF8.self) }
            .filter { !$0.allSatisfy(\.isWhitespace) }.suffix(count)
    }
}

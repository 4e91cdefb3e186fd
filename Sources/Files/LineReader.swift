import Glibc

/// The lines of a file that another process may be appending to, one after the other.
///
/// A last line without a line feed is not whole yet, or never will be: it is left out.
package struct LineReader: ~Copyable {
    /// The number of the line that ``next()`` gave last, counted from 1.
    package private(set) var lineNumber = 0
    private let file: OpenFile
    private let limit: Int
    private var buffer: [UInt8] = []
    /// Bytes of `buffer` that were given away, and bytes in which there is no line feed.
    private var start = 0
    private var searched = 0
    private let pieceCount = 1 << 16

    /// - Parameter limit: most bytes of a line.
    package init(_ path: String, limit: Int) throws(FileError) {
        file = try OpenFile.reading(path)
        self.limit = limit
    }

    package var path: String { file.path }

    /// The next line without its line feed; nil when there is none. Throws for a line above the limit.
    package mutating func next() throws(FileError) -> [UInt8]? {
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                guard end - start <= limit else { break }
                defer { (start, searched) = (end + 1, end + 1) }
                lineNumber += 1
                return Array(buffer[start..<end])
            }
            guard buffer.count - start <= limit else { break }
            buffer.removeFirst(start)
            start = 0
            searched = buffer.count
            let piece = try file.read(count: pieceCount)
            if piece.isEmpty { return nil }
            buffer += piece
        }
        throw FileError("\(path):\(lineNumber + 1)", .read, .tooLong(limit: limit))
    }
}

import Glibc

/// Lines of standard input, read as they are asked for.
struct StandardInput: ~Copyable {
    /// Longest line taken, in bytes: a context of a million ids has about 8 million.
    static let lineLimit = 64 << 20

    private var buffer: [UInt8] = []
    private var start = 0
    private var isAtEnd = false
    /// Number of the line last returned, from 1.
    private(set) var line = 0

    /// The next line without its end, nil after the last; empty lines are returned too.
    mutating func next() throws -> [UInt8]? {
        var searched = start
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                var text = buffer[start..<end]
                if text.last == UInt8(ascii: "\r") { text.removeLast() }
                start = end + 1
                line += 1
                return Array(text)
            }
            searched = buffer.count
            if isAtEnd {
                guard start < buffer.count else { return nil }
                defer { start = buffer.count }
                line += 1
                return Array(buffer[start...])
            }
            guard buffer.count - start <= Self.lineLimit else {
                throw CommandError(message: "line \(line + 1): longer than \(Self.lineLimit >> 20) MiB")
            }
            searched -= start
            try fill()
        }
    }

    /// Whether a line, or the end, can be had without waiting for the writer.
    var isReady: Bool {
        if isAtEnd || buffer[start...].contains(UInt8(ascii: "\n")) { return true }
        var descriptor = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        return poll(&descriptor, 1, 0) > 0
    }

    private mutating func fill() throws {
        buffer.removeFirst(start)
        start = 0
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = chunk.withUnsafeMutableBytes { read(STDIN_FILENO, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw CommandError(message: "standard input cannot be read: \(String(cString: strerror(errno)))")
            }
            if count == 0 { isAtEnd = true } else { buffer += chunk[..<count] }
            return
        }
    }
}

import Glibc
import Locking
import Telemetry

/// Whoever read standard output has gone; there is nothing left to do, and that is no failure.
struct ClosedOutput: Error {}

/// Standard output with a buffer of its own, so that a full disk or a closed pipe is noticed.
final class StandardOutput: Sendable {
    static let shared = StandardOutput()
    private static let capacity = 1 << 16
    private let buffer = Locked<[UInt8]>([])

    /// Writes text; it appears at the next flush or when the buffer is full.
    func write(_ text: String) throws { try write(Array(text.utf8)) }

    /// Writes bytes; they appear at the next flush or when the buffer is full.
    func write(_ bytes: [UInt8]) throws {
        try buffer.withLock { buffer in
            buffer += bytes
            if buffer.count >= Self.capacity { try Self.drain(&buffer) }
        }
    }

    func writeLine(_ text: String) throws { try write(text + "\n") }

    func flush() throws { try buffer.withLock { try Self.drain(&$0) } }

    private static func drain(_ buffer: inout [UInt8]) throws {
        defer { buffer.removeAll(keepingCapacity: true) }
        var done = 0
        while done < buffer.count {
            let count = buffer.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress! + done, $0.count - done) }
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EPIPE { throw ClosedOutput() }
                throw CommandError(message: "standard output cannot be written: \(String(cString: strerror(errno)))")
            }
            done += count
        }
    }
}

/// A line for the person at the terminal, not for whoever reads the output.
func printToStandardError(_ line: String) { Console.standardError.print(line) }

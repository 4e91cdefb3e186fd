import Files
import Glibc
import Locking

/// Standard error of a process: log lines above, one live line below that is redrawn in place on a terminal.
package final class Console: Sendable {
    /// The console of this process.
    package static let standardError = Console(descriptor: STDERR_FILENO)

    package let isTerminal: Bool
    private let descriptor: Int32
    private let live = Locked("")

    package init(descriptor: Int32, isTerminal: Bool? = nil) {
        self.descriptor = descriptor
        self.isTerminal = isTerminal ?? (isatty(descriptor) == 1)
    }

    /// Columns of the terminal; 80 when unknown.
    package var width: Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Writes a line; the live line stays below it.
    package func print(_ line: String) {
        live.withLock { live in put(live.isEmpty ? line + "\n" : "\r\u{1b}[K" + line + "\n" + live) }
    }

    /// Redraws the live line; does nothing when this is no terminal.
    package func redraw(_ line: String) {
        guard isTerminal else { return }
        live.withLock { live in
            guard line != live else { return }
            live = line
            put("\r\u{1b}[K" + line)
        }
    }

    /// Leaves the live line where it is; what is written next goes below it.
    package func endLive() {
        live.withLock { live in
            if !live.isEmpty { put("\n") }
            live = ""
        }
    }

    private func put(_ text: String) {
        // Where nobody reads any more, a run does not end for that.
        writeAll(Array(text.utf8), to: descriptor)
    }
}

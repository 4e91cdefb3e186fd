import Files
import Glibc
import Locking

/// Standard error of a process: log lines above, and below a live line, or a few, redrawn in place on a terminal.
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

    /// Writes a line; the live lines stay below it.
    package func print(_ line: String) {
        live.withLock { live in put(live.isEmpty ? line + "\n" : Self.erasing(live) + line + "\n" + live) }
    }

    /// Redraws the live line, or the lines that line feeds part; does nothing when this is no terminal.
    package func redraw(_ text: String) {
        guard isTerminal else { return }
        live.withLock { live in
            guard text != live else { return }
            put(Self.erasing(live) + text)
            live = text
        }
    }

    /// What brings a terminal from the end of some live lines to where they began, and clears them.
    private static func erasing(_ live: String) -> String {
        let above = live.utf8.count { $0 == 0x0a }
        return above == 0 ? "\r\u{1b}[K" : "\r\u{1b}[\(above)A\u{1b}[J"
    }

    /// Leaves the live lines where they are; what is written next goes below it.
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

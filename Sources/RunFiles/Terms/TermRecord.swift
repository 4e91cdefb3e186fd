import Files
import Wording

/// What the learner that owns a run's folder says of itself, in the file `holder` of its term.
///
/// The file always has the same number of bytes, so that it is renewed in place: a full disk does not end a term.
package struct TermRecord: Sendable, Hashable {
    /// What has become of a term.
    package enum State: String, Sendable, CaseIterable {
        case held
        /// The next learner is to go on at once.
        case handedOver = "handed_over"
        /// Somebody has stopped the run.
        case stopped
        /// The run cannot go on by itself.
        case failed
        /// The run is done.
        case finished
    }

    package static let byteCount = 1024
    private static let header = "opd term 1"
    private static let checkLine = "\ncheck 00000000\n".utf8.count

    /// Drawn for this holder alone.
    package let holder: UInt64
    /// Number of the term; that of the folder it is in, but for the moment in which another takes it over.
    package let term: Int
    /// Equal for all processes on one boot of one machine.
    package let host: String
    package let process: Int
    /// Silence, in milliseconds, after which another may take the run over.
    package let afterMilliseconds: Int
    package var state = State.held
    /// Why, for a person, when the term is no longer held.
    package var reason = ""
    /// Rises with every sign of life.
    package var beat: UInt64 = 0

    /// - Parameter host: printable ASCII of at most 200 characters; the rest is left out.
    package init(holder: UInt64, term: Int, host: String, process: Int, after: Duration) {
        self.holder = holder
        self.term = term
        self.host = Self.plain(host, 200)
        self.process = process
        afterMilliseconds = Int(after / .milliseconds(1))
    }

    package var after: Duration { .milliseconds(afterMilliseconds) }

    /// Who holds it, for a person.
    package var owner: String { "term \(term), process \(process) at \(host.split(separator: "@").last ?? "")" }

    /// The bytes of the file.
    package var bytes: [UInt8] {
        var body = Array(
            """
            \(Self.header)
            holder \(holder)
            term \(term)
            host \(host)
            process \(process)
            after_ms \(afterMilliseconds)
            state \(state.rawValue)
            beat \(beat)
            reason \(Self.plain(reason, 400))
            """.utf8)
        body += [UInt8](repeating: 0x20, count: Self.byteCount - Self.checkLine - body.count)
        return body + Array("\ncheck \(Self.checksum(body))\n".utf8)
    }

    /// Whether these are the bytes of this holder's record, whatever sign of life they have: the beginning of the file,
    /// which stays as it is.
    func isSame(asIn bytes: [UInt8]) -> Bool {
        bytes.starts(with: "\(Self.header)\nholder \(holder)\nterm \(term)\n".utf8)
    }

    /// Reads the file; nil when it is none, or was read while it was written.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        let body = Array(bytes[..<(Self.byteCount - Self.checkLine)])
        guard bytes[body.count...].elementsEqual("\ncheck \(Self.checksum(body))\n".utf8) else { return nil }
        let lines = String(decoding: body, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        let names = ["holder", "term", "host", "process", "after_ms", "state", "beat", "reason"]
        guard lines.count == names.count + 1, lines[0] == Self.header else { return nil }
        var values: [String] = []
        for (line, name) in zip(lines.dropFirst(), names) {
            guard line.hasPrefix("\(name) ") else { return nil }
            values.append(String(line.dropFirst(name.utf8.count + 1)))
        }
        guard let holder = UInt64(values[0]), let term = Int(values[1]), (1...Self.latest).contains(term),
            values[2] == Self.plain(values[2], 200), let process = Int(values[3]), let after = Int(values[4]),
            (0...Self.longest).contains(after), let state = State(rawValue: values[5]), let beat = UInt64(values[6])
        else { return nil }
        self.init(holder: holder, term: term, host: values[2], process: process, after: .milliseconds(after))
        self.state = state
        self.beat = beat
        reason = Self.plain(String(values[7].reversed().drop { $0 == " " }.reversed()), 400)
    }

    /// The highest number of a term, and the longest silence in milliseconds.
    package static let latest = 999_999, longest = 86_400_000

    private static func plain(_ text: String, _ count: Int) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.filter { (0x20..<0x7f).contains($0.value) }.prefix(count)))
    }

    private static func checksum(_ bytes: [UInt8]) -> String {
        bytes.withUnsafeBytes { crc32($0) }.padded(to: 8, radix: 16)
    }
}

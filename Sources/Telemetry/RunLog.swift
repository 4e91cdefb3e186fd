import Files
import Glibc
import Logging
import Wording

/// How much a process says on standard error; its log file always has everything from `info` up.
package enum Verbosity: Sendable {
    case quiet, normal, verbose

    package var consoleLevel: Logger.Level {
        switch self {
        case .quiet: .error
        case .normal: .notice
        case .verbose: .debug
        }
    }

    package var fileLevel: Logger.Level { self == .verbose ? .debug : .info }
}

/// A process's log: a file with everything, and standard error with what a person asked for.
package enum RunLog {
    /// Directs every `Logger` of this process; to be called once, before the first is made.
    ///
    /// - Parameters:
    ///   - path: the log file, appended to; nil: standard error only.
    ///   - name: what the process is called on standard error, such as `rollout-1`.
    package static func bootstrap(path: String?, name: String, verbosity: Verbosity) throws(TelemetryError) {
        let sink = try LogSink(path: path)
        LoggingSystem.bootstrap { label in
            RunLogHandler(
                label: label, name: name, sink: sink, console: .standardError, fileLevel: verbosity.fileLevel,
                consoleLevel: verbosity.consoleLevel)
        }
    }
}

/// The log file of a process.
package final class LogSink: Sendable {
    private let file: OpenFile?

    package init(path: String?) throws(TelemetryError) {
        guard let path else {
            file = nil
            return
        }
        do {
            // A link in a run folder that came from elsewhere could lead to any file of this user.
            file = try OpenFile(
                path, .writeOnly, [.create, .append, .noFollow],
                permissions: [.ownerReadWrite, .groupRead, .otherRead], attempt: .openForWriting)
        } catch {
            throw TelemetryError(error)
        }
    }

    /// Writes a line at once: lines of several processes in one file do not mix.
    func append(_ line: String) {
        // A full disk costs log lines, never the run.
        try? file?.write(line + "\n")
    }
}

/// Writes `2026-01-31T12:00:00.123Z info label: message key=value` to the file and `name: message` to the console.
package struct RunLogHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var logLevel: Logger.Level
    private let label: String
    private let name: String
    private let sink: LogSink
    private let console: Console
    private let fileLevel: Logger.Level
    private let consoleLevel: Logger.Level

    package init(
        label: String, name: String, sink: LogSink, console: Console, fileLevel: Logger.Level,
        consoleLevel: Logger.Level
    ) {
        self.label = label
        self.name = name
        self.sink = sink
        self.console = console
        self.fileLevel = fileLevel
        self.consoleLevel = consoleLevel
        logLevel = min(fileLevel, consoleLevel)
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        let pairs = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        // A message of several lines, perhaps from another process, must not look like several records.
        let text = Self.oneLine("\(event.message)\(pairs)")
        if event.level >= fileLevel { sink.append("\(Self.timestamp()) \(event.level) \(label): \(text)") }
        if event.level >= consoleLevel {
            let mark = event.level >= .warning ? "\(event.level): " : ""
            console.print(name.isEmpty ? mark + text : "\(name): \(mark)\(text)")
        }
    }

    /// A text without line breaks and control characters, which could pass for records or steer a terminal.
    package static func oneLine(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: \.isControl) else { return text }
        return String(
            String.UnicodeScalarView(
                text.unicodeScalars.flatMap { scalar -> [Unicode.Scalar] in
                    switch scalar.value {
                    case 0x0a: ["\\", "n"]
                    default: scalar.isControl ? ["?"] : [scalar]
                    }
                }))
    }

    /// Now, in UTC, to the millisecond.
    package static func timestamp() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return timestamp(seconds: now.tv_sec, nanoseconds: now.tv_nsec)
    }

    package static func timestamp(seconds: Int, nanoseconds: Int) -> String {
        var seconds = seconds
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func pad(_ value: Int32, _ digits: Int = 2) -> String { value.padded(to: digits) }
        return "\(pad(parts.tm_year + 1900, 4))-\(pad(parts.tm_mon + 1))-\(pad(parts.tm_mday))T\(pad(parts.tm_hour)):"
            + "\(pad(parts.tm_min)):\(pad(parts.tm_sec)).\(pad(Int32(nanoseconds / 1_000_000), 3))Z"
    }
}

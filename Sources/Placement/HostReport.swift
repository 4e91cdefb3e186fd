import Wording

/// What a machine says of itself and of a run's processes on it: the lines that ``HostScript`` prints there.
package struct HostReport: Sendable, Equatable {
    /// A process as it was found.
    package struct Process: Sendable, Equatable {
        package enum State: Sendable, Equatable {
            case running
            case ended(Int)
            /// It is gone, and nobody saw its end: its machine was started anew, or it was killed with its keeper.
            case lost
        }

        package var name: String
        package var state: State
        package var pid: Int
        /// Seconds since its start, or since its end.
        package var seconds: Int
        /// That of the command that it was started with; see ``PlacedProcess/fingerprint``.
        package var fingerprint: String
        /// The last line of its log.
        package var lastLine: String

        package init(
            name: String, state: State, pid: Int = 0, seconds: Int = 0, fingerprint: String = "", lastLine: String = ""
        ) {
            self.name = name
            self.state = state
            self.pid = pid
            self.seconds = seconds
            self.fingerprint = fingerprint
            self.lastLine = lastLine
        }

        package var isRunning: Bool { state == .running }
    }

    /// What is known of the machine, by names such as `machine` and `disk_kb`.
    package var facts: [String: String] = [:]
    package var processes: [Process] = []
    /// What could not be done there, a line each.
    package var problems: [String] = []

    package init() {}

    package subscript(name: String) -> Process? { processes.first { $0.name == name } }

    package func number(_ fact: String) -> Int? { facts[fact].flatMap { Int($0) } }

    private static let beginning = "opd-report 1", end = "opd-end"
    /// Lines of a report that are read, and bytes of one.
    static let lineLimit = 4096, byteLimit = 65536

    /// Reads what a machine has printed. What stands before the report is a shell's greeting, and is ignored.
    /// - Throws: ``UsageError`` where there is no whole report.
    package init(text: String) throws(UsageError) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard let begin = lines.firstIndex(of: Self.beginning[...]),
            let end = lines[begin...].firstIndex(of: Self.end[...])
        else { throw UsageError("its answer is none, or was cut short") }
        guard end - begin <= Self.lineLimit else {
            throw UsageError("its answer has more than \(Self.lineLimit) lines")
        }
        for line in lines[(begin + 1)..<end] {
            guard line.utf8.count <= Self.byteLimit else { throw UsageError("its answer has an endless line") }
            let fields = line.split(separator: "\t", maxSplits: 6, omittingEmptySubsequences: false).map(Self.printable)
            switch (fields[0], fields.count) {
            case ("fact", 3): facts[fields[1]] = fields[2]
            case ("problem", 2...): problems.append(fields[1...].joined(separator: " "))
            case ("process", 7): processes.append(try Self.process(fields))
            default:
                throw UsageError("its answer has a line that is none of a report: \(Self.printable(line.prefix(80)))")
            }
        }
    }

    private static func process(_ fields: [String]) throws(UsageError) -> Process {
        let state: Process.State? =
            switch fields[2] {
            case "running": .running
            case "lost": .lost
            default: Int(fields[2]).map { .ended($0) }
            }
        guard let state, HostsFile.isName(fields[1], of: "._-", limit: 255) else {
            throw UsageError("its answer has a process that is none: \(fields[1].prefix(80))")
        }
        return Process(
            name: fields[1], state: state, pid: Int(fields[3]) ?? 0, seconds: max(0, Int(fields[4]) ?? 0),
            fingerprint: String(fields[5].prefix(64)), lastLine: fields[6])
    }

    /// The text without what could steer a terminal.
    private static func printable(_ text: Substring) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.filter { !$0.isControl }))
    }
}

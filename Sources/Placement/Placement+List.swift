import RunFiles
import Telemetry
import Wire
import Wording

/// What `opd ps` shows.
package struct PlacementList: Sendable {
    /// Machines and what was found there; nil: it could not be asked.
    package var hosts: [String: HostReport?] = [:]
    /// What the learner says of the run; nil: it does not answer.
    package var status: Status?
    /// What did not succeed, a line each, which begins with the machine's name.
    package var failures: [String] = []

    package init() {}

    /// A line of the run and one a process.
    package var text: String {
        var lines: [String] = []
        if let status {
            lines.append("run \(status.runID): step \(status.version) of \(status.steps); learner: \(status.doing)")
        } else {
            lines.append("the learner does not answer")
        }
        var rows = [["host", "process", "pid", "state", "since", "in the run", "last line of its log"]]
        for (name, report) in hosts.sorted(by: { $0.key < $1.key }) {
            guard let report else {
                rows.append([name, "-", "-", "away", "-", "-", ""])
                continue
            }
            for process in report.processes.sorted(by: { $0.name < $1.name }) {
                rows.append([
                    name, process.name, process.isRunning ? "\(process.pid)" : "-", Self.state(process),
                    ProgressLine.duration(Double(process.seconds)), role(process),
                    String(process.lastLine.prefix(100)),
                ])
            }
        }
        let table = rows.count > 1 ? TextTable.lines(rows) : ["no processes"]
        return (lines + table).map(Self.printable).joined(separator: "\n")
    }

    private static func state(_ process: HostReport.Process) -> String {
        switch process.state {
        case .running: "running"
        case .ended(0): "done"
        case .ended(143): "stopped"
        case .ended(let status): "ended \(status)"
        case .lost: "lost"
        }
    }

    /// What the learner says of a process.
    private func role(_ process: HostReport.Process) -> String {
        guard process.isRunning, process.name != PlacedProcess.learnerName else { return "-" }
        guard let status else { return "?" }
        guard let member = status.members.first(where: { $0.name == process.name }) else { return "absent" }
        return "\(member.state), \(member.tasks)/\(member.window) tasks"
    }

    private static func printable(_ line: String) -> String {
        String(line.unicodeScalars.map { $0.isControl ? "?" : Character($0) })
    }
}

extension Placement {
    /// Finds what runs where, and asks the learner on its own machine how the run is.
    package func list() async throws -> PlacementList {
        let record = try PlacementRecord.read(from: records)
        let runFolder = record.runFolder
        let reports = await run(record, on: record.hosts.keys) { name, layout in
            var script = HostScript(layout)
            if name == record.learner { script.askStatus(of: runFolder) }
            return script
        }
        var list = PlacementList()
        for (name, result) in reports { list.hosts[name] = .some(try? result.get()) }
        list.failures = reports.values.compactMap(\.failureMessage).sorted()
        if let text = list.hosts[record.learner]??.facts["status"], !text.isEmpty {
            list.status = try? Status(json: text)
        }
        return list
    }
}

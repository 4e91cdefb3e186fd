import Placement

extension FuzzTarget {
    /// A file of hosts, then, after a NUL, what a machine answers and, after another, a record of what runs where.
    static let hosts = FuzzTarget(name: "hosts") { bytes in
        let parts = bytes.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        if let file = accepted({ try HostsFile.parse(parts[0], source: "hosts.yaml") }) {
            guard file.hosts[file.learner.host] != nil else { throw BrokenPromise("the learner has a machine") }
            let names = file.hosts.flatMap { [$0.key, $0.value.ssh ?? $0.key] }
            guard !names.contains(where: { $0.hasPrefix("-") || $0.contains { $0.isWhitespace } }) else {
                throw BrokenPromise("no name is an option, or two words")
            }
        }
        if parts.count > 1, let report = accepted({ try HostReport(text: parts[1]) }) {
            guard !report.processes.contains(where: { $0.name.contains("/") || $0.lastLine.contains("\u{1b}") }) else {
                throw BrokenPromise("a process's name is no path, and its last line steers no terminal")
            }
        }
        if parts.count > 2, let record = accepted({ try PlacementRecord(json: parts[2]) }) {
            guard (try? PlacementRecord(json: record.json)) == record else {
                throw BrokenPromise("a written record is read back")
            }
        }
    }
}

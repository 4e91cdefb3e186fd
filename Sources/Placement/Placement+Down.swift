import Files
import Wording

/// What came of `opd down`.
package struct DownOutcome: Sendable {
    /// What did not succeed, a line each, which begins with the machine's name.
    package var failures: [String] = []
    /// Processes that were ended.
    package var ended: [String] = []
}

extension Placement {
    /// Ends a run's processes in order: workers and scorers, which give back what they hold, and then the learner, which
    /// writes a checkpoint. What has not ended by itself in time is killed.
    /// - Parameters:
    ///   - host: the one machine on which processes are ended; nil: all.
    ///   - learnerGrace: seconds for the step that is being trained and a checkpoint.
    package func down(host: String? = nil, learnerGrace: Int, memberGrace: Int = 30) async throws -> DownOutcome {
        _ = try PlacementRecord.read(from: records)
        let lock = try await PlacementRecord.lock(records)
        defer { withExtendedLifetime(lock) {} }
        var record = try PlacementRecord.read(from: records)
        if let host, record.hosts[host] == nil {
            let known = record.hosts.keys.sorted().joined(separator: ", ")
            throw UsageError("no process was started on '\(host)'; there are: \(known)")
        }
        // Before anything is ended: who watches the run must not start it again where a machine cannot be asked now.
        for name in host.map({ [$0] }) ?? Array(record.hosts.keys) { record.hosts[name]?.isPaused = true }
        try record.write(to: records)
        var outcome = DownOutcome()
        let looks = await run(record, on: host.map { [$0] } ?? Array(record.hosts.keys))
        outcome.failures += looks.values.compactMap(\.failureMessage).sorted()
        let running = looks.compactMapValues { result in
            (try? result.get())?.processes.filter(\.isRunning).map(\.name).sorted()
        }
        let members = running.mapValues { $0.filter { $0 != PlacedProcess.learnerName } }
        await end(members, record, grace: memberGrace, &outcome)
        let learners = running.mapValues { $0.filter { $0 == PlacedProcess.learnerName } }.filter { !$0.value.isEmpty }
        for name in learners.keys.sorted() {
            say("\(name): the learner writes a checkpoint")
        }
        await end(learners, record, grace: learnerGrace, &outcome)
        return outcome
    }

    private func end(
        _ processes: [String: [String]], _ record: PlacementRecord, grace: Int, _ outcome: inout DownOutcome
    ) async {
        let hosts = processes.filter { !$0.value.isEmpty }.keys
        let results = await run(record, on: hosts, limit: .seconds(grace + 60)) { name, layout in
            var script = HostScript(layout)
            script.stop(processes[name] ?? [], grace: grace)
            return script
        }
        for (name, result) in results.sorted(by: { $0.key < $1.key }) {
            switch result {
            case .failure(let error): outcome.failures.append(error.message)
            case .success(let report):
                let left = (processes[name] ?? []).filter { report[$0]?.isRunning == true }
                let gone = (processes[name] ?? []).filter { !left.contains($0) }
                if !gone.isEmpty { say("\(name): ended \(gone.joined(separator: ", "))") }
                outcome.ended += gone
                if !left.isEmpty {
                    outcome.failures.append("\(name): \(left.joined(separator: ", ")) cannot be ended, even by force")
                }
            }
        }
    }
}

import Configuration
import Files
import Glibc
import Wording

/// What `opd up` is asked for.
package struct UpRequest: Sendable {
    package var file: HostsFile
    /// The file's path, for messages.
    package var source: String
    package var configuration: RunConfiguration
    /// Whether a run that was begun elsewhere, or has ended, is gone on with.
    package var resumes = false
    /// How long the learner may take until it listens.
    package var learnerPatience = Duration.seconds(600)

    package init(file: HostsFile, source: String, configuration: RunConfiguration) {
        self.file = file
        self.source = source
        self.configuration = configuration
    }
}

/// What came of `opd up`.
package struct UpOutcome: Sendable {
    /// What did not succeed, a line each, which begins with the machine's name.
    package var failures: [String] = []
    /// Processes that were started.
    package var started: [String] = []
    /// Processes that run as they should already.
    package var kept: [String] = []
    /// Whether the learner has brought the run to its end.
    package var isDone = false
    /// How the learner has ended otherwise, where that is watched; nil: it has not.
    package var learnerEnd: String?
}

extension Placement {
    /// Makes what runs what the request asks for: starts what is missing, ends what nobody wants any more. What runs as it
    /// should is left alone, so that the same request may be made again and again.
    /// - Parameters:
    ///   - waiting: processes that are not started again yet.
    ///   - watches: whether this is one of many times, so that what others end meanwhile stays so, and nobody is waited
    ///     for.
    package func up(
        _ request: UpRequest, waiting: Set<String> = [], watches: Bool = false
    ) async throws -> UpOutcome {
        var wanted = try PlacedProcess.all(request.file, request.configuration, source: request.source)
        try prepareRecords()
        let lock = try await PlacementRecord.lock(records, patience: watches ? .zero : .seconds(120))
        defer { withExtendedLifetime(lock) {} }
        var record = try openRecord(request)
        try await checkMoves(request, record)
        var waiting = waiting
        for (name, host) in record.hosts where host.isPaused {
            if watches {
                waiting.formUnion(wanted.filter { $0.host == name }.map(\.name))
            } else {
                record.hosts[name]?.isPaused = false
            }
        }
        let earlier = record.hasBegun ? record.learner : nil
        let (known, keysGiven) = (Set(record.hosts.keys), record.keysGiven)
        for (name, host) in request.file.hosts { enter(name, host, into: &record) }

        let looks = await run(record, on: record.hosts.keys)
        var outcome = UpOutcome()
        var views: [String: PlacementPlan.View] = [:]
        for (host, look) in looks.sorted(by: { $0.key < $1.key }) {
            switch look {
            case .success(let report): views[host] = .seen(report)
            case .failure(let error):
                views[host] = .away
                outcome.failures.append(error.message)
            }
        }
        let keys = try ring(request, record, views)
        for (name, host) in record.hosts where request.file.hosts[name] != nil {
            let files = files(request, wanted, name, host, keys, record.nameThere)
            guard name == request.file.learner.host else { continue }
            wanted[0].settings = files.configuration.yaml(markingDefaults: false)
        }
        let plan = PlacementPlan(
            wanted: wanted, views: views, earlierLearner: earlier, restarts: request.resumes, waiting: waiting,
            watches: watches)
        if plan.isOver, case .seen(let report)? = views[request.file.learner.host] {
            let name = PlacedProcess.learnerName
            outcome.learnerEnd = "\(request.file.learner.host): the \(name) " + Self.end(of: report[name])
            return outcome
        }
        for note in plan.notes { say("note: \(note)") }
        if let obstacle = plan.obstacle {
            // A learner's machine that is away has its line already.
            if views[request.file.learner.host] != .away { outcome.failures.append(obstacle) }
            return outcome
        }
        // A machine that has never answered has nothing to be remembered for.
        for (name, view) in views where view == .away && !known.contains(name) { record.hosts[name] = nil }
        record.keysGiven = max(keysGiven, (record.hosts.values.map(\.key).max() ?? 0) + 1)
        record.learner = request.file.learner.host
        record.runFolder = request.configuration.runFolder
        if plan.kept.contains(PlacedProcess.learnerName) { record.hasBegun = true }
        // Before anything is started: what is in no record would be ended by nobody.
        try record.write(to: records)

        outcome.isDone = plan.isDone
        outcome.kept = plan.kept
        let stopping = await stop(plan, record)
        outcome.failures += stopping.values.sorted()
        if plan.isDone {
            say("the run has come to its end; --resume goes on with it, as after a change of training.steps")
        }
        // Where the old ones could not be ended, they may run on under the names of the new ones.
        let starting = plan.startingHosts(learner: record.learner).subtracting(stopping.keys)
        let ready = await prepare(request, wanted, record, keys, starting, looks)
        outcome.failures += ready.failures
        if plan.startsLearner {
            guard ready.hosts.contains(record.learner) else { return outcome }
            do throws(HostError) { try await startLearner(request, wanted[0], record) } catch {
                outcome.failures.append(error.message)
                return outcome
            }
            outcome.started.append(PlacedProcess.learnerName)
            record.hasBegun = true
            try record.write(to: records)
        }
        let members = plan.starts.filter { ready.hosts.contains($0.key) }
        let (started, failures) = await start(members, record)
        outcome.started += started
        outcome.failures += failures
        // A machine that has nothing any more, and is to have nothing, is forgotten.
        for (name, view) in views where request.file.hosts[name] == nil {
            guard case .seen = view, !outcome.failures.contains(where: { $0.hasPrefix("\(name): ") }) else { continue }
            record.hosts[name] = nil
        }
        try record.write(to: records)
        return outcome
    }

    private func prepareRecords() throws(UsageError) {
        do { try FileTree.createFolder(records) } catch { throw UsageError("\(error)") }
        // Keys are in it.
        guard chmod(records, 0o700) == 0 else { throw UsageError("\(records) belongs to another user") }
    }

    private func openRecord(_ request: UpRequest) throws(UsageError) -> PlacementRecord {
        if PlacementRecord.exists(in: records) { return try .read(from: records) }
        return PlacementRecord(
            name: request.configuration.name, runFolder: request.configuration.runFolder,
            learner: request.file.learner.host)
    }

    private func enter(_ name: String, _ host: HostsFile.Host, into record: inout PlacementRecord) {
        let isHere = name == HostsFile.here
        let key: Int
        if let known = record.hosts[name]?.key {
            key = known
        } else {
            key = record.keysGiven
            record.keysGiven += 1
        }
        let isPaused = record.hosts[name]?.isPaused ?? false
        record.hosts[name] = .init(
            ssh: isHere ? nil : host.address(name), folder: isHere ? directory : host.folder, key: key)
        record.hosts[name]?.isPaused = isPaused
    }

    /// Sees that a machine that is now reached otherwise, or has another folder, has nothing of the run where it was: who
    /// runs there would be ended by nobody.
    private func checkMoves(_ request: UpRequest, _ record: PlacementRecord) async throws {
        let moved = record.hosts.filter { name, old in
            guard let oldAddress = old.ssh, let host = request.file.hosts[name] else { return false }
            return oldAddress != host.address(name) || old.folder != host.folder
        }
        for (name, look) in await run(record, on: moved.keys).sorted(by: { $0.key < $1.key }) {
            let old = record.hosts[name]!
            let place = "\(request.source): \(name) was \(old.ssh ?? name) with folder '\(old.folder)' until now"
            let running = (try? look.get())?.processes.filter(\.isRunning).map(\.name).sorted()
            guard let running else {
                throw UsageError(
                    "\(place), and cannot be asked there whether something runs; give the machine another name, or "
                        + "change it back until it answers")
            }
            guard running.isEmpty else {
                throw UsageError(
                    "\(place), where \(running.joined(separator: ", ")) \(running.count == 1 ? "runs" : "run"); end that with "
                        + "'opd down --host \(name)' first")
            }
            guard name != record.learner || !record.hasBegun || request.resumes else {
                throw UsageError(
                    "\(place), where the run's folder is: bring that to where the learner is to run, and give --resume")
            }
        }
    }

    /// The keys that are made for the run; nil: it has some, or needs none.
    private func ring(
        _ request: UpRequest, _ record: PlacementRecord, _ views: [String: PlacementPlan.View]
    ) throws(UsageError) -> KeyRing? {
        guard KeyRing.isNeeded(for: request.configuration, request.file.learner) else { return nil }
        let ring = KeyRing(records: records)
        var isListening = false
        if case .seen(let report)? = views[request.file.learner.host] {
            isListening = report[PlacedProcess.learnerName]?.isRunning ?? false
        }
        try ring.prepare(for: record.keysGiven, isListening: isListening)
        return ring
    }

    func files(
        _ request: UpRequest, _ wanted: [PlacedProcess], _ name: String, _ host: PlacementRecord.Host,
        _ ring: KeyRing?, _ run: String
    ) -> HostFiles {
        let processes = wanted.filter { $0.host == name }
        let keys =
            ring?.keys(number: host.key, processes) ?? HostKeys(request.configuration)?.needed(by: processes)
        return HostFiles(
            request.configuration, processes, layout(host, run: run), keys: keys, directory: directory)
    }

    /// Ends what a plan ends; returns what failed, by machine.
    private func stop(_ plan: PlacementPlan, _ record: PlacementRecord) async -> [String: String] {
        let grace = 30
        // One after the other, each with the wait after its SIGKILL.
        let limit = Duration.seconds(2 * (grace + 20) + 60)
        let results = await run(record, on: plan.stops.keys, limit: limit) { name, layout in
            var script = HostScript(layout)
            let names = plan.stops[name] ?? []
            script.stop(names.filter { !plan.removed.contains($0) }, grace: grace)
            script.stop(names.filter { plan.removed.contains($0) }, grace: grace, forgets: true)
            return script
        }
        for name in plan.stops.keys.sorted() {
            if case .success? = results[name] {
                say("\(name): ended \((plan.stops[name] ?? []).joined(separator: ", "))")
            }
        }
        return results.compactMapValues(\.failureMessage)
    }

    private func startLearner(
        _ request: UpRequest, _ learner: PlacedProcess, _ record: PlacementRecord
    ) async throws(HostError) {
        let resumes = record.hasBegun || request.resumes
        let endpoint = record.runFolder.appendingPath("endpoint")
        say("\(learner.host): starting the learner\(resumes ? ", which goes on from its last checkpoint" : "")")
        let deadline = ContinuousClock.now + request.learnerPatience
        var isFirst = true
        while true {
            let isStart = isFirst
            let results = await run(record, on: [learner.host]) { _, layout in
                var script = HostScript(layout)
                if isStart {
                    // Where an earlier one listened.
                    script.remove(endpoint)
                    script.start(learner, arguments: Self.arguments(learner, layout) + (resumes ? ["--resume"] : []))
                }
                script.read(endpoint, as: "endpoint")
                return script
            }
            let report = try results[learner.host]!.get()
            isFirst = false
            if report.facts["endpoint"]?.isEmpty == false {
                return say("\(learner.host): the learner listens at \(learner.arguments[2])")
            }
            guard let process = report[learner.name], process.isRunning else {
                throw HostError(learner.host, "the learner " + Self.end(of: report[learner.name]))
            }
            guard ContinuousClock.now < deadline else {
                throw HostError(
                    learner.host,
                    "the learner does not listen after \(request.learnerPatience.shortSeconds) s; it says: "
                        + process.lastLine)
            }
            try? await Task.sleep(for: .milliseconds(500))
        }
    }

    private func start(
        _ members: [String: [PlacedProcess]], _ record: PlacementRecord
    ) async -> (started: [String], failures: [String]) {
        guard !members.isEmpty else { return ([], []) }
        _ = await run(record, on: members.keys) { name, layout in
            var script = HostScript(layout)
            for process in members[name] ?? [] {
                script.start(process, arguments: Self.arguments(process, layout))
            }
            return script
        }
        // What is refused ends at once: better said now than found out later.
        try? await Task.sleep(for: .seconds(1))
        var started: [String] = []
        var failures: [String] = []
        for (name, result) in await run(record, on: members.keys).sorted(by: { $0.key < $1.key }) {
            switch result {
            case .failure(let error): failures.append(error.message)
            case .success(let report):
                var running: [String] = []
                for process in members[name] ?? [] {
                    if report[process.name]?.isRunning == true {
                        running.append(process.name)
                    } else {
                        failures.append("\(name): \(process.name) " + Self.end(of: report[process.name]))
                    }
                }
                if !running.isEmpty { say("\(name): started \(running.joined(separator: ", "))") }
                started += running
            }
        }
        return (started, failures)
    }

    private static func arguments(_ process: PlacedProcess, _ layout: HostLayout) -> [String] {
        [process.arguments[0], layout.configuration] + process.arguments.dropFirst()
    }

    /// Continues a sentence that begins with a process's name.
    static func end(of process: HostReport.Process?) -> String {
        guard let process else { return "was not started" }
        let said = process.lastLine.isEmpty ? "" : "; it said: \(process.lastLine)"
        switch process.state {
        case .running: return "runs"
        case .ended(let status): return "ended with exit status \(status)\(said)"
        case .lost: return "is gone\(said)"
        }
    }
}

extension Result where Failure == HostError {
    var failureMessage: String? { if case .failure(let error) = self { error.message } else { nil } }
}

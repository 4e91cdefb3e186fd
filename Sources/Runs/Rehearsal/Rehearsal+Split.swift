import Configuration
import Foundation
import Logging
import RunFiles
import Telemetry
import Wording

extension Rehearsal {
    /// Numbers of processes that are to be found; those of the configuration stay.
    package struct Wanted: Sendable, Equatable {
        package var workers: Bool
        package var scorers: Bool

        package init(workers: Bool, scorers: Bool) {
            self.workers = workers
            self.scorers = scorers
        }
    }

    /// More processes are taken for better only if they save so much of the time.
    private static let gain = 0.03

    /// Does a little work of every kind with more and fewer processes and threads, and finds the split of this machine's
    /// cores with which a step is over soonest.
    ///
    /// Nothing of it is left behind.
    /// - Throws: `UsageError` where that cannot be found out here; whatever would end a run at its start.
    package static func split(
        _ given: RunConfiguration, _ wanted: Wanted, engines: EngineChoice = .standard, progress: RunProgress,
        logger: Logger
    ) async throws -> CoreSplit {
        try check(given)
        let cores = ProcessInfo.processInfo.activeProcessorCount
        let overlaps = given.kind.sampler == .teachers || given.pipeline.maxStaleness > 0
        var timings: [CoreSplit.Stage: [CoreSplit.Timing]] = [:]
        // With turns every stage has all cores; how much slower fewer are tells what cores of its own would cost it.
        for budget in overlaps && cores > 1 ? [cores, cores / 2] : [cores] {
            for (stage, found) in try await measure(given, wanted, budget, engines, progress, logger) {
                timings[stage, default: []] += found
            }
        }
        return CoreSplit(cores: cores, overlaps: overlaps, timings: timings)
    }

    private static func check(_ given: RunConfiguration) throws(UsageError) {
        let option = "--workers auto and --scorers auto"
        guard given.kind.sampler != .nobody else {
            throw UsageError("\(option): a supervised run is one process; leave them out")
        }
        guard given.pipeline.threads == 0 else {
            throw UsageError("\(option) choose the threads too: leave pipeline.threads at 0, or give numbers")
        }
        let isHere =
            given.student.engine == .native && given.rollout.engine == .native
            && given.usedTeachers.values.allSatisfy { $0.engine == .native && !$0.server.isGiven }
        guard isHere else {
            throw UsageError(
                "\(option) measure what this machine's cores compute; this run has models of servers or torch: give numbers"
            )
        }
    }

    private static func measure(
        _ given: RunConfiguration, _ wanted: Wanted, _ budget: Int, _ engines: EngineChoice, _ progress: RunProgress,
        _ logger: Logger
    ) async throws -> [CoreSplit.Stage: [CoreSplit.Timing]] {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("opd-split-\(UUID())").path
        let folder = try RunFolder.open(path, resume: false)
        defer { try? FileManager.default.removeItem(atPath: path) }
        var given = given
        given.pipeline.threads = budget
        given.telemetry.startsNothing()
        var memory = ProcessMemory()
        let setup = try await RunSetup(
            given.dated(.fresh, in: folder), engines: engines, folder: folder, start: .fresh, resumeCommand: "",
            timeLimit: nil, startedAt: .now, progress: progress, logger: logger)
        let load = StepLoad(setup.configuration, setup.data, examples: [])
        progress.activity("training a little with \(budget) threads")
        let training = try await setup.trainingSeconds(load, isSupervised: false)
        var timings: [CoreSplit.Stage: [CoreSplit.Timing]] = [
            .training: [.init(.init(1, threads: budget), seconds: training)]
        ]
        timings[.sampling] = try await best(wanted.workers ? nil : given.pipeline.workers, budget, &memory) {
            crew, memory in
            progress.activity("sampling a little with \(crew.processes) x \(crew.threads) threads")
            let setup = setup.with(processes: crew.processes, threads: crew.threads)
            return try await setup.sampling(load, &memory, together: true)
        }
        guard given.kind.grader == .teachers else { return timings }
        timings[.grading] = try await best(wanted.scorers ? nil : given.pipeline.scorers, budget, &memory) {
            crew, memory in
            progress.activity("grading a little with \(crew.processes) x \(crew.threads) threads")
            let setup = setup.with(processes: crew.processes, threads: crew.threads)
            return try await setup.grading(load, &memory, together: true)
        }
        return timings
    }

    /// Times of crews that use a number of cores: of so many processes, or of 1, 2, 4 and so on, as long as more of them
    /// are faster and there is memory for them.
    private static func best(
        _ fixed: Int?, _ cores: Int, _ memory: inout ProcessMemory,
        _ measure: (CoreSplit.Crew, inout ProcessMemory) async throws -> RunSetup.Measured
    ) async throws -> [CoreSplit.Timing] {
        var timings: [CoreSplit.Timing] = []
        var processes = max(1, fixed ?? 1)
        while true {
            let crew = CoreSplit.Crew(processes, threads: max(1, cores / processes))
            let measured = try await measure(crew, &memory)
            guard let seconds = measured.seconds else { return timings }
            let best = timings.map(\.seconds).min() ?? .infinity
            timings.append(.init(crew, seconds: seconds))
            let bytes = measured.processes.compactMap(\.bytes).reduce(0, +) / processes
            processes *= 2
            guard fixed == nil, processes <= cores, seconds < best * (1 - gain),
                bytes * processes < ProcessMemory.ofMachine / 2
            else { return timings }
        }
    }
}

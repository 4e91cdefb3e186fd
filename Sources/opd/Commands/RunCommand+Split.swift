import ArgumentParser
import Configuration
import Logging
import RunFiles
import Runs
import Supervision
import Telemetry

/// How many processes of a kind are started.
enum ProcessCount: ExpressibleByArgument, Equatable, CustomStringConvertible {
    case number(Int)
    /// As many as are best on this machine.
    case auto

    init?(argument: String) {
        if argument == "auto" {
            self = .auto
        } else if let number = Int(argument) {
            self = .number(number)
        } else {
            return nil
        }
    }

    var description: String {
        switch self {
        case .number(let number): "\(number)"
        case .auto: "auto"
        }
    }
}

extension RunCommand {
    /// Finds the numbers of processes that are `auto`, and everybody's threads.
    func split(_ loaded: LoadedConfiguration) async throws -> (overrides: [String], threads: ThreadCounts) {
        let configuration = loaded.configuration
        // What keeps the run from beginning is said before anything is measured.
        if !resume, !again { try RunFolder.check(configuration.runFolder, hasAgain: true) }
        let progress = RunProgress(steps: configuration.training.steps, verbosity: verbosity.level)
        defer { progress.finish() }
        let split = try await Rehearsal.split(
            configuration, .init(workers: workers == .auto, scorers: scorers == .auto), progress: progress,
            logger: Logger(label: "run") { _ in SwiftLogNoOpLogHandler() })
        progress.finish()
        if verbosity.level != .quiet { split.lines.forEach { printToStandardError($0) } }
        let cores = split.crews[.training]?.threads ?? 0
        var overrides: [String] = []
        if workers == .auto, let crew = split.crews[.sampling] {
            overrides.append("pipeline.workers=\(crew.processes)")
        }
        if scorers == .auto, let crew = split.crews[.grading] { overrides.append("pipeline.scorers=\(crew.processes)") }
        return (
            overrides,
            ThreadCounts(
                learner: cores, worker: split.crews[.sampling]?.threads ?? cores,
                scorer: split.crews[.grading]?.threads ?? cores)
        )
    }
}

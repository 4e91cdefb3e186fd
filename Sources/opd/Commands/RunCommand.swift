import ArgumentParser
import Configuration
import Distillation
import Foundation
import Logging
import Pipeline
import RunFiles
import Runs
import Supervision
import Telemetry
import Wording

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a whole distillation on this machine.",
        discussion: """
            Starts a learner, rollout workers and scorers as processes, restarts a worker or scorer that dies, and ends \
            with a summary. Ctrl-C, SIGTERM and SIGUSR1 stop it after a checkpoint; --resume goes on from it.
            """)

    @OptionGroup var options: ConfigurationOptions

    @Option(
        help:
            "Rollout workers to start; with objective.kind off_policy, for each teacher. auto: as many as are measured to be best here."
    )
    var workers: ProcessCount?

    @Option(help: "Scorers to start for each teacher, or auto.")
    var scorers: ProcessCount?

    @Flag(help: "Continue the run of this name from its last checkpoint.")
    var resume = false

    @Flag(help: "Begin anew; the folder of an earlier run of this name is kept as NAME-1, NAME-2 and so on.")
    var again = false

    @Flag(
        name: .customLong("dry-run"),
        help: "Check everything, show the first prompt as the model reads it, estimate memory and time a step, and end."
    )
    var dryRun = false

    @Flag(help: "Serve a live page of the run while it goes on, and print its address (see 'opd watch').")
    var watch = false

    @OptionGroup var fork: ForkOptions

    @OptionGroup var time: TimeLimitOptions

    @OptionGroup var verbosity: VerbosityOptions

    func validate() throws {
        try fork.validate(resume: resume)
        if dryRun, fork.resumeFrom != nil {
            throw ValidationError("give either --dry-run or --resume-from: a resumed run has begun")
        }
        if dryRun, resume { throw ValidationError("give either --dry-run or --resume: a resumed run has begun") }
        if dryRun, watch { throw ValidationError("give either --dry-run or --watch: there is nothing to watch") }
        if again, resume { throw ValidationError("give either --again or --resume") }
    }

    func run() async throws {
        var overrides = options.overrides
        if case .number(let workers) = workers { overrides.append("pipeline.workers=\(workers)") }
        if case .number(let scorers) = scorers { overrides.append("pipeline.scorers=\(scorers)") }
        var loaded = try RunConfiguration.load(options.config, overrides: overrides)
        var threads: ThreadCounts?
        if workers == .auto || scorers == .auto {
            let found = try await split(loaded)
            overrides += found.overrides
            threads = found.threads
            loaded = try RunConfiguration.load(options.config, overrides: overrides)
        }
        let configuration = loaded.configuration
        guard !dryRun else { return try await rehearse(loaded) }
        if again, let kept = try RunFolder.setAside(configuration.runFolder), verbosity.level != .quiet {
            printToStandardError("the earlier run is kept in \(kept)")
        }
        guard configuration.kind.sampler != .nobody else {
            throw ExitCode(
                try await SupervisedCommand.run(
                    loaded, options, command: "run", start: fork.start(resume: resume), timeLimit: time.timeLimit,
                    watches: watch,
                    verbosity: verbosity.level))
        }
        try configuration.checkKeys()
        let folder = try RunFolder.open(configuration.runFolder, resume: resume, hasAgain: true)
        let claim = folder.claim()
        defer { withExtendedLifetime(claim) {} }
        try RunLog.bootstrap(path: folder.log("run"), name: "", verbosity: verbosity.level)
        let logger = Logger(label: "run")
        for warning in loaded.warnings { logger.warning("\(warning)") }
        do {
            try await ServerStart.wait(for: configuration)
        } catch {
            if !resume { folder.removeIfUnused() }
            throw error
        }
        let resumeCommand = CommandLineText.resuming("run", options, workers: workers, scorers: scorers)
        let supervisor = Supervisor(
            plan: Supervisor.plan(
                for: configuration, configurationPath: options.config, overrides: overrides, resume: resume,
                runFolder: folder, arguments: verbosity.arguments, learnerArguments: fork.arguments + time.arguments,
                threads: threads),
            endpoint: .file(folder.endpoint), resumeCommand: resumeCommand, logger: logger)
        let page = watch ? await WatchChild.start(for: folder) : nil
        if !watch, verbosity.level != .quiet, isatty(STDERR_FILENO) == 1 {
            let command = ShellWord.line([CommandLineText.program, "watch", configuration.runFolder])
            printToStandardError("watch it in a browser: \(command), in another terminal")
        }
        let status = await supervisor.run()
        await page?.stop()
        if let error = status.error { printToStandardError("error: \(error)") }
        // A start that failed has nothing to go on from: the same command begins anew.
        if let hint = status.hint, folder.hasBegun { printToStandardError(hint) }
        if status.code == 2 && !resume { folder.removeIfUnused() }
        throw ExitCode(status.code)
    }
}

extension RunCommand {
    /// Does what a start does but for the run itself, and leaves nothing behind.
    private func rehearse(_ loaded: LoadedConfiguration) async throws {
        let configuration = loaded.configuration
        try configuration.checkKeys()
        if !again { try RunFolder.check(configuration.runFolder, hasAgain: true) }
        try RunLog.bootstrap(path: nil, name: "", verbosity: verbosity.level)
        let logger = Logger(label: "run")
        for warning in loaded.warnings { logger.warning("\(warning)") }
        let progress = RunProgress(steps: configuration.training.steps, verbosity: verbosity.level)
        defer { progress.finish() }
        let report = try await Rehearsal.run(
            configuration, start: fork.start(resume: false), progress: progress, logger: logger)
        progress.finish()
        try StandardOutput.shared.writeLine(report.text)
    }
}

/// A checkpoint of elsewhere to begin with.
struct ForkOptions: ParsableArguments {
    @Option(
        name: .customLong("from"),
        help:
            "Begin with another run's checkpoint: its folder, or the latest of the run's folder or of its copies' URL."
    )
    var path: String?

    @Option(
        name: .customLong("resume-from"),
        help: "Go on with the run whose checkpoints are copied to this place (checkpoint.copy_to), in a new run folder."
    )
    var resumeFrom: String?

    /// What a learner begins with.
    func start(resume: Bool) -> LearnerProcess.Start {
        if let path { return .from(path) }
        if let resumeFrom { return .resumeFrom(resumeFrom) }
        return resume ? .resume : .fresh
    }

    /// Arguments that ask another process for the same.
    var arguments: [String] {
        (path.map { ["--from", $0] } ?? []) + (resumeFrom.map { ["--resume-from", $0] } ?? [])
    }

    func validate(resume: Bool) throws {
        if resumeFrom != nil, resume || path != nil {
            throw ValidationError("give only one of --resume-from, --resume and --from")
        }
        if path != nil, resume { throw ValidationError("give either --from or --resume: a fork is a run of its own") }
    }
}

/// How long a run may take.
struct TimeLimitOptions: ParsableArguments {
    @Option(
        name: .customLong("time-limit"),
        help: "Stop with a checkpoint before this time is over, such as 90m, 3600s or 1:30:00; exit status 75.")
    var text: String?

    var timeLimit: TimeLimit? { text.flatMap { TimeLimit($0) } }
    /// Arguments that ask another process for the same.
    var arguments: [String] { text.map { ["--time-limit", $0] } ?? [] }

    func validate() throws {
        guard let text, timeLimit == nil else { return }
        throw ValidationError("--time-limit '\(text)' is no time; write it like 90m, 3600s or 1:30:00")
    }
}

/// How much a process says.
struct VerbosityOptions: ParsableArguments {
    @Flag(help: "Say only what went wrong.")
    var quiet = false

    @Flag(help: "Say everything.")
    var verbose = false

    func validate() throws {
        if quiet && verbose { throw ValidationError("give either --quiet or --verbose") }
    }

    var level: Verbosity { quiet ? .quiet : (verbose ? .verbose : .normal) }
    /// Arguments that give another process the same choice.
    var arguments: [String] { (quiet ? ["--quiet"] : []) + (verbose ? ["--verbose"] : []) }
}

/// Commands as a person types them.
enum CommandLineText {
    /// How this program is called: its name when the shell finds it, else its path, relative when it is below the
    /// current directory.
    static let program: String = {
        let files = FileManager.default
        guard let path = try? files.destinationOfSymbolicLink(atPath: "/proc/self/exe") else { return "opd" }
        let name = String(path.split(separator: "/").last ?? "opd")
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        if let found = folders.map({ "\($0)/\(name)" }).first(where: { files.isExecutableFile(atPath: $0) }),
            URL(fileURLWithPath: found).resolvingSymlinksInPath().path == path
        {
            return name
        }
        let here = files.currentDirectoryPath + "/"
        guard path.hasPrefix(here) else { return path }
        // `swift build` calls its output folder by two names; people know the short one.
        let relative = String(path.dropFirst(here.count))
        let parts = relative.split(separator: "/")
        if parts.count == 4, parts[0] == ".build" { return ".build/\(parts[2])/\(parts[3])" }
        return relative.contains("/") ? relative : "./" + relative
    }()

    static func resuming(
        _ command: String, _ options: ConfigurationOptions, workers: ProcessCount?, scorers: ProcessCount?
    ) -> String {
        var words = [program, command, options.config]
        for override in options.overrides { words += ["--set", override] }
        if let workers { words += ["--workers", "\(workers)"] }
        if let scorers { words += ["--scorers", "\(scorers)"] }
        return ShellWord.line(words + ["--resume"])
    }
}

import ArgumentParser
import Configuration
import Logging
import Pipeline
import Telemetry

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a whole distillation on this machine.",
        discussion: """
            Starts a learner, rollout workers and scorers as processes, restarts a worker or scorer that dies, and ends \
            with a summary. Ctrl-C stops after a checkpoint; --resume goes on from it.
            """)

    @OptionGroup var options: ConfigurationOptions

    @Option(help: "Rollout workers to start.")
    var workers: Int?

    @Option(help: "Scorers to start for each teacher.")
    var scorers: Int?

    @Flag(help: "Continue the run of this name from its last checkpoint.")
    var resume = false

    @OptionGroup var verbosity: VerbosityOptions

    func run() async throws {
        var overrides = options.overrides
        if let workers { overrides.append("pipeline.workers=\(workers)") }
        if let scorers { overrides.append("pipeline.scorers=\(scorers)") }
        let loaded = try RunConfiguration.load(options.config, overrides: overrides)
        let configuration = loaded.configuration
        let folder = try RunFolder.open(configuration.runFolder, resume: resume)
        try RunLog.bootstrap(path: folder.log("run"), name: "", verbosity: verbosity.level)
        let logger = Logger(label: "run")
        for warning in loaded.warnings { logger.warning("\(warning)") }
        let resumeCommand = CommandLineText.resuming("run", options, workers: workers, scorers: scorers)
        let supervisor = Supervisor(
            plan: Supervisor.plan(
                for: configuration, configurationPath: options.config, overrides: overrides, resume: resume,
                runFolder: folder, arguments: verbosity.arguments),
            endpoint: .file(folder.endpoint), resumeCommand: resumeCommand, logger: logger)
        let status = await supervisor.run()
        if let error = status.error { printToStandardError("error: \(error)") }
        if let hint = status.hint { printToStandardError(hint) }
        if status.code == 2 && !resume { folder.removeIfUnused() }
        throw ExitCode(status.code)
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
    /// The same choice for another process.
    var arguments: [String] { (quiet ? ["--quiet"] : []) + (verbose ? ["--verbose"] : []) }
}

/// Commands as a person types them.
enum CommandLineText {
    static func resuming(_ command: String, _ options: ConfigurationOptions, workers: Int?, scorers: Int?) -> String {
        var words = ["opd", command, options.config]
        for override in options.overrides { words += ["--set", override] }
        if let workers { words += ["--workers", "\(workers)"] }
        if let scorers { words += ["--scorers", "\(scorers)"] }
        return (words + ["--resume"]).map(quoted).joined(separator: " ")
    }

    /// The word, in quotes when a shell would take it apart.
    static func quoted(_ word: String) -> String {
        let isPlain = word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "/._-+=:,@".contains($0)) }
        return isPlain && !word.isEmpty
            ? word : "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}

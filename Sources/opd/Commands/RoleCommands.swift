import ArgumentParser
import Configuration
import Distillation
import Engines
import Foundation
import Logging
import RunFiles
import Runs
import Supervision
import Telemetry

struct LearnerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "learner", abstract: "Run a learner, which workers and scorers connect to.",
        discussion: """
            Holds the master weights and the run folder. SIGINT, SIGTERM or SIGUSR1 stops it after a checkpoint; --resume goes on \
            from it. With pipeline.standby_after_s above 0, another with --standby on another machine goes on with the run when this \
            one is gone, or was stopped by SIGTERM, SIGUSR1 or its time limit; SIGINT stops both.
            """)

    @OptionGroup var options: ConfigurationOptions

    @Option(help: "Endpoint to listen at, such as tcp://127.0.0.1:5555; overrides pipeline.endpoint.")
    var bind: String?

    @Flag(help: "Continue the run of this name from its last checkpoint.")
    var resume = false

    @Flag(
        help: """
            Watch the learner that has the run folder, which both machines reach, and take the run over from its newest \
            checkpoint when that learner is gone.
            """)
    var standby = false

    @OptionGroup var fork: ForkOptions

    @OptionGroup var time: TimeLimitOptions

    @OptionGroup var verbosity: VerbosityOptions

    func validate() throws {
        try fork.validate(resume: resume)
        if standby, resume || fork.path != nil || fork.resumeFrom != nil || time.text != nil {
            throw ValidationError(
                "give --standby without --resume, --resume-from, --from and --time-limit: it goes on when another learner is gone"
            )
        }
    }

    func run() async throws {
        ChildProcess.followParent()
        let loaded = try RunConfiguration.load(
            options.config, overrides: options.overrides, requiring: [.student, .data, .learnerKeys])
        let configuration = loaded.configuration
        let folder =
            standby
            ? try StandbyProcess.folder(of: configuration)
            : try RunFolder.open(configuration.runFolder, resume: resume, isManaged: ChildProcess.isManaged)
        let claim = ChildProcess.isManaged ? nil : folder.claim()
        defer { withExtendedLifetime(claim) {} }
        try RunLog.bootstrap(path: folder.log("learner"), name: "", verbosity: verbosity.level)
        let logger = Logger(label: "learner")
        if !ChildProcess.isManaged { for warning in loaded.warnings { logger.warning("\(warning)") } }
        let progress = RunProgress(steps: configuration.training.steps, verbosity: verbosity.level)
        var end: LearnerProcess.End, term: HeldTerm?
        do {
            if standby {
                let watched = try await StandbyProcess.run(
                    configuration, folder: folder, bind: bind, progress: progress, logger: logger)
                switch watched {
                case .tookOver(let taken): term = taken
                case .over(let status, let text):
                    progress.finish()
                    logger.notice("\(text)")
                    throw ExitCode(status)
                }
            }
            end = try await LearnerProcess.run(
                configuration, folder: folder, bind: bind,
                start: fork.start(resume: resume || standby),
                resumeCommand: CommandLineText.resuming(
                    ChildProcess.isManaged ? "run" : "learner", options, workers: nil, scorers: nil),
                timeLimit: time.timeLimit, term: term, progress: progress, logger: logger)
        } catch {
            progress.finish()
            if !ChildProcess.isManaged && !resume && !standby { folder.removeIfUnused() }
            throw error
        }
        end.summary.program = CommandLineText.program
        if ChildProcess.isManaged && end.summary.endedEarly != nil {
            // The supervisor was asked to stop, and says how to go on.
            end.summary.endedEarly = "stopped"
            end.summary.resumeCommand = nil
        }
        if verbosity.level != .quiet {
            try StandardOutput.shared.writeLine(end.summary.text(width: Console.standardError.width))
        }
        throw ExitCode(end.exitCode)
    }
}

/// How a worker or scorer finds its learner and is called there.
struct MemberOptionsGroup: ParsableArguments {
    @Option(
        help: """
            Endpoint of the learner, such as tcp://127.0.0.1:5555, or several with commas between, such as its standby's, \
            of which the next is taken when one does not answer.
            """)
    var connect: String

    @Option(
        help: """
            Endpoint of a relay near this process, or several with commas between: they are tried before the learner, \
            and again after it.
            """)
    var relay: String?

    @Option(help: "Name of this process among those of the run; default: host name and process id.")
    var name: String?

    func name(_ role: String) -> String {
        name ?? "\(role)-\(ProcessInfo.processInfo.hostName)-\(ProcessInfo.processInfo.processIdentifier)"
    }

    /// Does the job to its end, and exits.
    func run(_ job: MemberJob, _ configuration: RunConfiguration, name: String, label: String) async throws {
        do {
            throw ExitCode(
                try await MemberProcess.run(
                    job, configuration, connect: connect, relay: relay, name: name, logger: Logger(label: label)))
        } catch let error as EngineError where error.isAbsence {
            throw CommandError(message: "\(error)", status: ChildStatus.unavailable)
        }
    }
}

/// Which teacher a process holds.
struct TeacherOption: ParsableArguments {
    @Option(help: "Label of the teacher to hold; needed when the configuration has several.")
    var teacher: String?

    func label(in configuration: RunConfiguration) throws -> String {
        if let label = teacher ?? configuration.defaultTeacher { return label }
        let known = configuration.teachers.keys.sorted().joined(separator: ", ")
        throw CommandError.usage("name the teacher to hold with --teacher; the configuration has: \(known)")
    }
}

struct RolloutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollout", abstract: "Run a rollout worker, which samples for a learner.",
        discussion: "It samples with the student or, with objective.kind off_policy, with a teacher.")

    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var member: MemberOptionsGroup
    @OptionGroup var holding: TeacherOption
    @OptionGroup var verbosity: VerbosityOptions

    func run() async throws {
        ChildProcess.followParent()
        func load(_ files: FileUse) throws -> RunConfiguration {
            try RunConfiguration.load(
                options.config, overrides: options.overrides, requiring: [files, .memberKeys, .rolloutKeys]
            ).configuration
        }
        // Which model it holds, and so which files must be here, is in the configuration.
        let kind = try RunConfiguration.load(options.config, overrides: options.overrides, requiring: [])
            .configuration.objective.kind
        let isTeacher = kind.run.sampler == .teachers
        let configuration = try load(isTeacher ? .teachers : .student)
        if !isTeacher, holding.teacher != nil {
            throw CommandError.usage(
                "--teacher: with objective.kind \(kind.rawValue) rollout workers hold the student; leave it out")
        }
        let teacher = isTeacher ? try holding.label(in: configuration) : nil
        let name = member.name(teacher.map { "rollout-\($0)" } ?? "rollout")
        try RunLog.bootstrap(path: nil, name: name, verbosity: verbosity.level)
        try await member.run(.rollout(teacher: teacher), configuration, name: name, label: "rollout")
    }
}

struct ScorerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scorer", abstract: "Run a scorer, whose teacher grades for a learner.")

    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var member: MemberOptionsGroup

    @OptionGroup var holding: TeacherOption
    @OptionGroup var verbosity: VerbosityOptions

    func run() async throws {
        ChildProcess.followParent()
        let loaded = try RunConfiguration.load(
            options.config, overrides: options.overrides, requiring: [.teachers, .memberKeys, .scorerKeys])
        let teacher = try holding.label(in: loaded.configuration)
        let name = member.name("scorer-\(teacher)")
        try RunLog.bootstrap(path: nil, name: name, verbosity: verbosity.level)
        try await member.run(.scorer(teacher: teacher), loaded.configuration, name: name, label: "scorer")
    }
}

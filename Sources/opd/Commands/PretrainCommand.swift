import ArgumentParser
import Configuration
import Distillation
import Foundation
import Logging
import Pipeline
import RunFiles
import Runs
import Telemetry

struct PretrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pretrain", abstract: "Train a model from scratch on worked responses.",
        discussion: """
            Makes a random model of the configuration's 'shape', or of the one given here, and trains it with \
            objective.kind supervised: 'opd run' with these two settings. Ctrl-C stops it after a checkpoint; --resume \
            goes on from it.
            """)

    @OptionGroup var options: ConfigurationOptions

    @OptionGroup var shape: ShapeOptions

    @Flag(help: "Continue the run of this name from its last checkpoint.")
    var resume = false

    @Flag(help: "Serve a live page of the run while it goes on, and print its address (see 'opd watch').")
    var watch = false

    @OptionGroup var time: TimeLimitOptions

    @OptionGroup var verbosity: VerbosityOptions

    func run() async throws {
        var options = options
        options.overrides += shape.overrides + ["objective.kind=supervised"]
        let loaded = try RunConfiguration.load(
            options.config, overrides: options.overrides, requiring: [.student, .data])
        guard loaded.configuration.shape.layers > 0 else {
            throw CommandError.usage(
                "\(options.config): has no 'shape' to make a model of; give it one, or --layers and the like, or train a "
                    + "model that is there with 'opd run' and objective.kind: supervised")
        }
        throw ExitCode(
            try await SupervisedCommand.run(
                loaded, options, command: "pretrain", start: resume ? .resume : .fresh, timeLimit: time.timeLimit,
                watches: watch, verbosity: verbosity.level))
    }
}

/// A supervised run in this process.
enum SupervisedCommand {
    /// - Returns: the exit status.
    static func run(
        _ loaded: LoadedConfiguration, _ options: ConfigurationOptions, command: String, start: LearnerProcess.Start,
        timeLimit: TimeLimit?, watches: Bool, verbosity: Verbosity
    ) async throws -> Int32 {
        let configuration = loaded.configuration
        let folder = try RunFolder.open(
            configuration.runFolder, resume: start == .resume, hasAgain: command == "run")
        let claim = folder.claim()
        defer { withExtendedLifetime(claim) {} }
        try RunLog.bootstrap(path: folder.log("learner"), name: "", verbosity: verbosity)
        let logger = Logger(label: "learner")
        for warning in loaded.warnings { logger.warning("\(warning)") }
        let page = watches ? await WatchChild.start(for: folder) : nil
        let progress = RunProgress(steps: configuration.training.steps, verbosity: verbosity)
        var end: LearnerProcess.End
        do {
            end = try await SupervisedProcess.run(
                configuration, folder: folder, start: start,
                resumeCommand: CommandLineText.resuming(command, options, workers: nil, scorers: nil),
                timeLimit: timeLimit, progress: progress, logger: logger)
        } catch {
            progress.finish()
            await page?.stop()
            if start != .resume { folder.removeIfUnused() }
            throw error
        }
        await page?.stop()
        end.summary.program = CommandLineText.program
        if verbosity != .quiet {
            try StandardOutput.shared.writeLine(end.summary.text(width: Console.standardError.width))
        }
        return end.exitCode
    }
}

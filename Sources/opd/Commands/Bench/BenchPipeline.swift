import ArgumentParser
import Configuration
import Foundation
import JSON
import Logging
import RunFiles
import Supervision
import Telemetry
import Wording

struct BenchPipelineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pipeline", abstract: "Measure whole steps of a run: seconds a step and samples a second.",
        discussion: """
            Starts the processes of the configuration in a temporary run folder, without evaluation and checkpoints, and \
            takes the median of the steps after the first.
            """)

    @OptionGroup var options: ConfigurationOptions

    @Option(help: "Steps, of which the first does not count.")
    var steps = 6

    @Flag(help: "Print one JSON object instead of a line.")
    var json = false

    func validate() throws {
        guard (2...10_000).contains(steps) else { throw ValidationError("--steps takes 2 to 10000") }
    }

    func run() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("opd-bench-\(UUID())").path
        let overrides =
            options.overrides + [
                "run_folder=\(path)", "training.steps=\(steps)", "evaluation.every=0", "checkpoint.every=0",
            ]
        let configuration = try RunConfiguration.load(options.config, overrides: overrides).configuration
        let folder = try RunFolder.open(configuration.runFolder, resume: false)
        defer { try? FileManager.default.removeItem(atPath: path) }
        var logger = Logger(label: "bench")
        logger.logLevel = .error
        let supervisor = Supervisor(
            plan: Supervisor.plan(
                for: configuration, configurationPath: options.config, overrides: overrides, resume: false,
                runFolder: folder, arguments: ["--quiet"]),
            endpoint: .file(folder.endpoint), resumeCommand: "", logger: logger)
        let status = await supervisor.run()
        if let error = status.error { printToStandardError("error: \(error)") }
        guard status.code == 0 else { throw ExitCode(status.code) }
        let seconds = try stepSeconds(folder).dropFirst().sorted()
        let median = seconds[seconds.count / 2]
        let samples = configuration.data.promptsPerStep * configuration.data.samplesPerPrompt
        try StandardOutput.shared.writeLine(
            json
                ? JSONText.object([
                    ("peer", JSONText.string("opd")), ("what", JSONText.string("pipeline")),
                    ("max_staleness", String(configuration.pipeline.maxStaleness)), ("samples", String(samples)),
                    ("step_s", JSONText.number(median)),
                    ("samples_per_second", JSONText.number(Double(samples) / median)),
                ])
                : "pipeline: \(ProgressLine.fixed(median, 2)) s a step of \(samples) samples, "
                    + "\(ProgressLine.fixed(Double(samples) / median, 2)) samples/s "
                    + "(max_staleness \(configuration.pipeline.maxStaleness), median of \(seconds.count) steps)")
    }

    /// Seconds of every training step.
    private func stepSeconds(_ folder: RunFolder) throws -> [Double] {
        var metrics = try folder.readMetrics()
        let seconds = try metrics.rest().filter { $0.step > 0 && $0.timing.stepSeconds.isFinite }
            .map(\.timing.stepSeconds)
        guard seconds.count == steps else {
            throw CommandError(message: "\(folder.metrics) has \(seconds.count) of \(steps) training steps")
        }
        return seconds
    }
}

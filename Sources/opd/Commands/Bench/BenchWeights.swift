import ArgumentParser
import JSON
import Logging
import Runs
import Telemetry

struct BenchWeightsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weights", abstract: "Measure how long new weights take to a worker that goes on sampling.")

    @Argument(help: "A model folder or a GGUF file.")
    var model: String

    @Option(help: "Sequences sampled at once meanwhile.")
    var batch = 16

    @Option(help: "Versions sent, of which the fastest counts.")
    var versions = 5

    @Flag(help: "Send chunks over TCP, as to another machine, instead of through shared memory.")
    var chunks = false

    @OptionGroup var options: ModelOptions

    @Flag(help: "Print one JSON object instead of a line.")
    var json = false

    func validate() throws {
        try checkLimits([("--batch", batch, 1024), ("--versions", versions, 1024)])
    }

    func run() async throws {
        var logger = Logger(label: "bench")
        logger.logLevel = .error
        let result = try await WeightBenchmark.run(
            options.reference(model), threads: options.threadCount, sequences: batch, versions: versions,
            sharedMemory: !chunks, logger: logger)
        let beyond = result.announceToTokenSeconds - result.packSeconds
        try StandardOutput.shared.writeLine(
            json
                ? JSONText.object([
                    ("peer", JSONText.string("opd")), ("what", JSONText.string("weights")),
                    ("bytes", String(result.byteCount)), ("source", JSONText.string(result.source.rawValue)),
                    ("publish_s", JSONText.number(result.publishSeconds)),
                    ("announce_to_token_s", JSONText.number(result.announceToTokenSeconds)),
                    ("pack_s", JSONText.number(result.packSeconds)), ("beyond_packing_s", JSONText.number(beyond)),
                    ("tokens_meanwhile", String(result.tokensMeanwhile)),
                ])
                : "weights: \(result.byteCount >> 20) MiB, \(ProgressLine.fixed(beyond, 3)) s from announcement to token "
                    + "beyond \(ProgressLine.fixed(result.packSeconds, 3)) s of packing; "
                    + "\(result.tokensMeanwhile) tokens sampled meanwhile "
                    + "(\(result.source.rawValue); publishing took \(ProgressLine.fixed(result.publishSeconds, 3)) s)")
    }
}

import ArgumentParser
import Distillation
import JSON
import Models
import NativeEngine
import Telemetry

struct BenchDivergenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "divergence", abstract: "Measure training steps on whole distributions beside sampled tokens.",
        discussion: """
            Steps by the sampled token, by a teacher's listed tokens and by the whole vocabulary take turns, on random \
            token ids, with the model as its own teacher; a ratio is the median of those within a turn.
            """)

    @Argument(help: "A model folder or a GGUF file.")
    var model: String

    @Option(help: "Sequences of a step.")
    var batch = 8

    @Option(help: "Response tokens of a sequence, behind one of prompt.")
    var tokens = 127

    @Option(help: "Listed tokens of a position.")
    var topK = 64

    @Option(help: "Turns, after one that is not measured.")
    var repetitions = 5

    @OptionGroup var options: ModelOptions

    @Flag(help: "Print one JSON object instead of a line.")
    var json = false

    @Flag(help: "Print where the time of the steps goes, by operation, to standard error.")
    var profile = false

    func validate() throws {
        try checkLimits(
            [("--batch", batch), ("--tokens", tokens), ("--repetitions", repetitions), ("--top-k", topK)].map {
                ($0, $1, 1_000_000)
            })
    }

    func run() throws {
        let files = try ModelFiles.open(model), configuration = files.configuration
        guard tokens < configuration.maxPositions else {
            throw CommandError.usage(
                "--tokens takes up to \(configuration.maxPositions - 1): the model's context less one")
        }
        let most = min(configuration.vocabularySize - 1, TopTokens.mostTokens)
        guard topK <= most else { throw CommandError.usage("--top-k takes up to \(most) for this model") }
        let measured = try DivergenceMeasurement(
            of: files, batch: batch, tokens: tokens, topK: topK, type: options.dtype, threads: options.threadCount,
            turns: repetitions, isProfiled: profile)
        func seconds(_ support: DivergenceMeasurement.Support) -> Double { measured.seconds[support] ?? .nan }
        func ratio(_ support: DivergenceMeasurement.Support) -> Double { measured.ratios[support] ?? .nan }
        func used(_ support: DivergenceMeasurement.Support) -> Double { measured.processorRatios[support] ?? .nan }
        for support in DivergenceMeasurement.Support.allCases {
            guard let (operations, total) = measured.profiles[support] else { continue }
            printToStandardError(support.rawValue + "\n" + profileTable(operations, total: total, matmulRate: nil))
        }
        func shown(_ support: DivergenceMeasurement.Support) -> String {
            "\(ProgressLine.fixed(seconds(support), 3)) s (\(ProgressLine.fixed(ratio(support), 3))x, "
                + "\(ProgressLine.fixed(used(support), 3))x of the processor's time)"
        }
        try StandardOutput.shared.writeLine(
            json
                ? JSONText.object([
                    ("peer", JSONText.string("opd")), ("what", JSONText.string("divergence")),
                    ("dtype", JSONText.string(options.dtype.rawValue)), ("threads", String(options.threadCount)),
                    ("batch", String(batch)), ("length", String(tokens + 1)), ("top_k", String(topK)),
                    ("seconds", JSONText.number(seconds(.sampled))), ("top_k_seconds", JSONText.number(seconds(.topK))),
                    ("full_seconds", JSONText.number(seconds(.full))), ("top_k_ratio", JSONText.number(ratio(.topK))),
                    ("full_ratio", JSONText.number(ratio(.full))),
                    ("top_k_processor_ratio", JSONText.number(used(.topK))),
                    ("full_processor_ratio", JSONText.number(used(.full))),
                ])
                : "divergence: sampled \(ProgressLine.fixed(seconds(.sampled), 3)) s, top \(topK) \(shown(.topK)), "
                    + "full \(shown(.full)) (\(options.dtype.rawValue), \(options.threadCount) threads, batch \(batch))"
        )
    }
}

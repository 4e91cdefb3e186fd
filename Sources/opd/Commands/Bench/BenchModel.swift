import ArgumentParser
import JSON
import Models
import NativeEngine
import Telemetry

/// Tokens a second of one kind of work on a model.
struct ModelBenchmark: ParsableArguments {
    @Argument(help: "A model folder or a GGUF file.")
    var model: String

    @Option(help: "Sequences at once (default: 16; train: 8).")
    var batch: Int?

    @Option(help: "Prompt tokens of a sequence (default: 32; score and train: 1).")
    var prompt: Int?

    @Option(help: "New tokens of a sequence (default: 64; score and train: 127).")
    var tokens: Int?

    @Flag(help: "Sampling: twice --batch requests of 16 to 256 new tokens, of which --batch run at a time.")
    var mixed = false

    @Option(help: "Training: of adapters on all projections, of this rank; 0: of all weights.")
    var rank = 0

    @Option(help: "Measured repetitions, after one that is not measured.")
    var repetitions = 3

    @OptionGroup var options: ModelOptions

    @Flag(help: "Print one JSON object instead of a line.")
    var json = false

    @Flag(help: "Print where the time of the measured repetitions goes, by operation, to standard error.")
    var profile = false

    func validate() throws {
        for (name, value) in [
            ("--batch", batch), ("--prompt", prompt), ("--tokens", tokens), ("--repetitions", repetitions),
        ] {
            guard (1...1_000_000).contains(value ?? 1) else { throw ValidationError("\(name) takes 1 or more") }
        }
        guard (0...65_536).contains(rank) else { throw ValidationError("--rank takes 0 to 65536") }
    }

    func run(_ work: ModelMeasurement.Work) throws {
        let files = try ModelFiles.open(model)
        let slots = batch ?? (work == .train ? 8 : 16)
        let load = BenchmarkLoad(
            batch: slots, prompt: prompt ?? (work == .generate ? 32 : 1),
            tokens: mixed
                ? BenchmarkLoad.mixedTokens(requests: 2 * slots)
                : [Int](repeating: tokens ?? (work == .generate ? 64 : 127), count: slots))
        guard work == .generate || !mixed else { throw CommandError.usage("--mixed is for generate") }
        guard work == .train || rank == 0 else { throw CommandError.usage("--rank is for train") }
        guard tokens == nil || !mixed else { throw CommandError.usage("give either --mixed or --tokens") }
        guard load.length <= files.configuration.maxPositions else {
            throw CommandError.usage(
                "--prompt and --tokens make \(load.length) tokens, but the model's context is \(files.configuration.maxPositions)"
            )
        }
        let measured = try ModelMeasurement(
            work, of: files, load, rank: rank, type: options.dtype, threads: options.threadCount,
            repetitions: repetitions, isProfiled: profile)
        let best = measured.seconds, limit = measured.limit, peakMemory = measured.peakMemory
        let counted = load.newTokens + (work == .generate ? 0 : load.batch * load.prompt)
        let rate = Double(counted) / best
        let roof =
            switch work {
            case .generate:
                limit.generate(batch: load.batch, prompt: load.prompt, tokens: load.newTokens / load.tokens.count)
            case .score: limit.score
            case .train: limit.train
            }
        var fields: [(name: String, json: String)] = [
            ("peer", JSONText.string("opd")), ("what", JSONText.string(work.rawValue)),
            ("dtype", JSONText.string(options.dtype.rawValue)), ("threads", String(options.threadCount)),
            ("tokens_per_second", JSONText.number(rate)), ("batch", String(load.batch)),
        ]
        fields +=
            work == .generate
            ? [
                ("prompt", String(load.prompt)), ("new", String(load.tokens.max() ?? 0)), ("mixed", String(mixed)),
            ] : [("length", String(load.length))] + (work == .train ? [("rank", String(rank))] : [])
        fields += [
            ("seconds", JSONText.number(best)), ("peak_rss_bytes", String(peakMemory)),
            ("limit_tokens_per_second", JSONText.number(roof)), ("matmul_flops", JSONText.number(limit.matmulRate)),
            ("memory_bytes_per_second", JSONText.number(limit.bandwidth)),
        ]
        let line =
            json
            ? JSONText.object(fields)
            : "\(work.rawValue): \(ProgressLine.fixed(rate, 1)) tokens/s, \(ProgressLine.fixed(100 * rate / roof, 0))% of the limit "
                + "(\(options.dtype.rawValue), "
                + "\(options.threadCount) threads, batch \(load.batch), \(ProgressLine.fixed(best, 3)) s, "
                + "\(peakMemory >> 20) MiB)"
        if let (operations, seconds) = measured.profile {
            printToStandardError(profileTable(operations, total: seconds, matmulRate: limit.matmulRate))
        }
        try StandardOutput.shared.writeLine(line)
    }
}

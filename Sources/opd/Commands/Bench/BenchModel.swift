import ArgumentParser
import Compute
import Distillation
import Generation
import Glibc
import JSON
import Models
import Telemetry
import Training
import Wording

/// Tokens a second of one kind of work on a model.
struct ModelBenchmark: ParsableArguments {
    enum Work: String { case generate, score, train }

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

    func run(_ work: Work) throws {
        let files = try ModelFiles.open(model)
        let slots = batch ?? (work == .train ? 8 : 16)
        let load = BenchLoad(
            batch: slots, prompt: prompt ?? (work == .generate ? 32 : 1),
            tokens: mixed
                ? BenchLoad.mixedTokens(requests: 2 * slots)
                : [Int](repeating: tokens ?? (work == .generate ? 64 : 127), count: slots))
        guard work == .generate || !mixed else { throw CommandError.usage("--mixed is for generate") }
        guard work == .train || rank == 0 else { throw CommandError.usage("--rank is for train") }
        guard tokens == nil || !mixed else { throw CommandError.usage("give either --mixed or --tokens") }
        guard load.length <= files.configuration.maxPositions else {
            throw CommandError.usage(
                "--prompt and --tokens make \(load.length) tokens, but the model's context is \(files.configuration.maxPositions)"
            )
        }
        let (context, repeated) = try work.prepared(files, load, rank: rank, options)
        var best = Double.infinity
        for repetition in 0...repetitions {
            if profile, repetition == 1 { context.profile = OperationProfile() }
            let start = ContinuousClock.now
            try repeated()
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            if repetition > 0 { best = min(best, seconds) }
        }
        let peakMemory = Self.peakMemory
        // After the work, whose peak of memory it would hide.
        let collected = context.profile.map { (profile: $0, seconds: $0.elapsed) }
        context.profile = nil
        let limit = BenchLimit(files.configuration, type: options.dtype, context: context)
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
        if let collected {
            printToStandardError(
                profileTable(collected.profile, total: collected.seconds, matmulRate: limit.matmulRate))
        }
        try StandardOutput.shared.writeLine(line)
    }

    /// Largest resident size of this process so far, in bytes.
    private static var peakMemory: Int {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        return usage.ru_maxrss * 1024
    }
}

/// What is run: sequences of `prompt` random ids and `tokens` more each, `batch` of them at a time.
private struct BenchLoad {
    var batch: Int
    var prompt: Int
    /// New tokens of every sequence.
    var tokens: [Int]
    /// The longest sequence.
    var length: Int { prompt + (tokens.max() ?? 0) }
    var newTokens: Int { tokens.reduce(0, +) }

    /// 16 ... 256 in even steps, in a fixed order that mixes them.
    static func mixedTokens(requests: Int) -> [Int] {
        (0..<requests).map { 16 + 240 * ($0 * 37 % requests) / max(requests - 1, 1) }
    }

    func ids(_ count: Int, vocabulary: Int) -> [[Int32]] {
        var random = SystemRandomNumberGenerator()
        let ids = Int32(min(3, vocabulary - 1))..<Int32(vocabulary)
        return tokens.map { _ in (0..<count).map { _ in Int32.random(in: ids, using: &random) } }
    }
}

extension ModelBenchmark.Work {
    /// Loads the model; the closure does the work once.
    fileprivate func prepared(
        _ files: ModelFiles, _ load: BenchLoad, rank: Int, _ options: ModelOptions
    ) throws -> (context: ComputeContext, work: () throws -> Void) {
        let vocabulary = files.configuration.vocabularySize
        switch self {
        case .generate:
            let model = try LanguageModel(files, type: options.dtype, threads: options.threadCount)
            let engine = GenerationEngine(model: model, slots: load.batch)
            return (
                model.context,
                {
                    try engine.submit(
                        load.ids(load.prompt, vocabulary: vocabulary).enumerated().map {
                            SampleRequest(
                                id: UInt64($0), promptIDs: $1, seed: UInt64($0), sample: 0,
                                parameters: SamplingSettings(maxTokens: load.tokens[$0]))
                        })
                    _ = engine.run()
                }
            )
        case .score:
            let model = try LanguageModel(files, type: options.dtype, threads: options.threadCount)
            let engine = ScoringEngine(model: model)
            let sequences = load.ids(load.length, vocabulary: vocabulary)
            return (model.context, { _ = try engine.score(sequences) })
        case .train:
            let trainer = try trainer(files, rank: rank, options)
            let sequences = load.ids(load.length, vocabulary: vocabulary).map {
                TrainingSequence(
                    promptIDs: Array($0.prefix(load.prompt)), responseIDs: Array($0.dropFirst(load.prompt)))
            }
            let scale = -1 / Float(load.newTokens)
            return (
                trainer.context,
                {
                    _ = trainer.step(sequences, learningRate: 1e-6) { _, evaluation in
                        [Float](repeating: scale, count: evaluation.logprobs.count)
                    }
                }
            )
        }
    }

    /// A trainer of adapters, or with rank 0 of all weights.
    private func trainer(_ files: ModelFiles, rank: Int, _ options: ModelOptions) throws -> Trainer {
        let weights = try ParameterBuffer(reading: files)
        guard rank > 0 else {
            return Trainer(
                configuration: files.configuration, masters: weights, type: options.dtype, threads: options.threadCount)
        }
        let shape = AdapterShape(rank: rank, alpha: Float(rank), targets: Set(AdapterShape.Target.allCases))
        return Trainer(
            configuration: files.configuration, base: weights,
            adapters: Adapters(layout: try AdapterLayout(files.configuration, shape), seed: 1), type: options.dtype,
            threads: options.threadCount)
    }
}

import ArgumentParser
import Compute
import Generation
import Glibc
import Models
import Telemetry
import Training

struct BenchCommand: ParsableCommand {
    enum Work: String, ExpressibleByArgument, CaseIterable { case generate, score, train }

    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure tokens a second of sampling, scoring or training.",
        discussion: """
            Runs on random token ids and reports the best of several repetitions. Sampling counts new tokens; scoring \
            and training count all tokens of sequences of --prompt plus --tokens.
            """)

    @Argument(help: "generate, score or train.")
    var work: Work

    @Argument(help: "A model folder or a GGUF file.")
    var model: String

    @Option(help: "Sequences at once (default: 16; train: 8).")
    var batch: Int?

    @Option(help: "Prompt tokens of a sequence (default: 32; score and train: 1).")
    var prompt: Int?

    @Option(help: "New tokens of a sequence (default: 64; score and train: 127).")
    var tokens: Int?

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
    }

    func run() throws {
        let files = try ModelFiles.open(model)
        let load = BenchLoad(
            batch: batch ?? (work == .train ? 8 : 16), prompt: prompt ?? (work == .generate ? 32 : 1),
            tokens: tokens ?? (work == .generate ? 64 : 127))
        guard load.length <= files.configuration.maxPositions else {
            throw CommandError.usage(
                "--prompt and --tokens make \(load.length) tokens, but the model's context is \(files.configuration.maxPositions)"
            )
        }
        let (context, repeated) = try work.prepared(files, load, options)
        let limit = BenchLimit(files.configuration, type: options.dtype, context: context)
        var best = Double.infinity
        for repetition in 0...repetitions {
            if profile, repetition == 1 { context.profile = OperationProfile() }
            let start = ContinuousClock.now
            try repeated()
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            if repetition > 0 { best = min(best, seconds) }
        }
        let counted = load.batch * (work == .generate ? load.tokens : load.length)
        let rate = Double(counted) / best
        let roof =
            switch work {
            case .generate: limit.generate(batch: load.batch, prompt: load.prompt, tokens: load.tokens)
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
            ? [("prompt", String(load.prompt)), ("new", String(load.tokens))] : [("length", String(load.length))]
        fields += [
            ("seconds", JSONText.number(best)), ("peak_rss_bytes", String(Self.peakMemory)),
            ("limit_tokens_per_second", JSONText.number(roof)), ("matmul_flops", JSONText.number(limit.matmulRate)),
            ("memory_bytes_per_second", JSONText.number(limit.bandwidth)),
        ]
        let line =
            json
            ? JSONText.object(fields)
            : "\(work.rawValue): \(ProgressLine.fixed(rate, 1)) tokens/s, \(ProgressLine.fixed(100 * rate / roof, 0))% of the limit "
                + "(\(options.dtype.rawValue), "
                + "\(options.threadCount) threads, batch \(load.batch), \(ProgressLine.fixed(best, 3)) s, "
                + "\(Self.peakMemory >> 20) MiB)"
        if let collected = context.profile {
            printToStandardError(profileTable(collected, matmulRate: limit.matmulRate))
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

/// What is run: `batch` sequences of `prompt` + `tokens` random ids.
private struct BenchLoad {
    var batch: Int
    var prompt: Int
    var tokens: Int
    var length: Int { prompt + tokens }

    func ids(_ count: Int, vocabulary: Int) -> [[Int32]] {
        var random = SystemRandomNumberGenerator()
        let ids = Int32(min(3, vocabulary - 1))..<Int32(vocabulary)
        return (0..<batch).map { _ in (0..<count).map { _ in Int32.random(in: ids, using: &random) } }
    }
}

extension BenchCommand.Work {
    /// Loads the model; the closure does the work once.
    fileprivate func prepared(
        _ files: ModelFiles, _ load: BenchLoad, _ options: ModelOptions
    ) throws -> (context: ComputeContext, work: () throws -> Void) {
        let vocabulary = files.configuration.vocabularySize
        switch self {
        case .generate:
            let model = try LanguageModel(files, type: options.dtype, threads: options.threadCount)
            let engine = GenerationEngine(model: model, slots: load.batch)
            let parameters = SamplingParameters(maxTokens: load.tokens)
            return (
                model.context,
                {
                    try engine.submit(
                        load.ids(load.prompt, vocabulary: vocabulary).enumerated().map {
                            SampleRequest(
                                id: UInt64($0), promptIDs: $1, seed: 0, stream: UInt64($0), sample: 0,
                                parameters: parameters)
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
            let trainer = Trainer(
                configuration: files.configuration, masters: try ParameterBuffer(reading: files), type: options.dtype,
                threads: options.threadCount)
            let sequences = load.ids(load.length, vocabulary: vocabulary).map {
                TrainingSequence(
                    promptIDs: Array($0.prefix(load.prompt)), responseIDs: Array($0.dropFirst(load.prompt)))
            }
            let scale = -1 / Float(load.batch * load.tokens)
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
}

import ArgumentParser

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure sampling, scoring, training, and what moves between processes.",
        discussion: """
            generate, score and train run on random token ids and report the best of several repetitions. Sampling \
            counts new tokens; scoring and training count all tokens of sequences of --prompt plus --tokens.
            """,
        subcommands: [
            BenchGenerateCommand.self, BenchScoreCommand.self, BenchTrainCommand.self, BenchDivergenceCommand.self,
            BenchWeightsCommand.self, BenchDifferencesCommand.self, BenchTransportCommand.self,
            BenchPipelineCommand.self, BenchNothingCommand.self,
        ], defaultSubcommand: BenchNothingCommand.self)
}

/// What is run when none of the others is named: says so.
struct BenchNothingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "nothing", shouldDisplay: false)
    @Argument(parsing: .allUnrecognized) var words: [String] = []

    func run() throws {
        let known = "generate, score, train, divergence, weights, differences, transport or pipeline"
        guard let word = words.first else { throw CommandError.usage("name what to measure: \(known)") }
        throw CommandError.usage("The value '\(word)' is invalid for what to measure: it is \(known)")
    }
}

struct BenchGenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Measure tokens a second of sampling.")
    @OptionGroup var benchmark: ModelBenchmark
    func run() throws { try benchmark.run(.generate) }
}

struct BenchScoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "score", abstract: "Measure tokens a second of scoring.")
    @OptionGroup var benchmark: ModelBenchmark
    func run() throws { try benchmark.run(.score) }
}

struct BenchTrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Measure tokens a second of whole training steps.")
    @OptionGroup var benchmark: ModelBenchmark
    func run() throws { try benchmark.run(.train) }
}

import ArgumentParser
import Configuration
import Distillation
import Engines
import Foundation
import RunFiles
import Runs
import Telemetry
import Wording

struct EvalCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval", abstract: "Measure how many problems a model answers rightly.",
        discussion: """
            TASK is a generated task, whose held-out problems are taken, or a prompt file whose lines have verifiers; with \
            --teacher they need none. \
            pass@1 has Wilson's 95% interval, pass@k the unbiased estimator with a bootstrap interval over problems.
            """)

    @Argument(help: "A model folder or a GGUF file.")
    var model: String

    @Argument(help: "A task, such as arithmetic:digits=2, or a prompt file with verifiers.")
    var task: String

    @Option(help: "Samples a problem.")
    var samples = 1

    @Option(help: "Problems; 200 of a task, all of a file, unless given.")
    var count: Int?

    @Option(help: "Divides the logits; 0 always takes the most probable token.")
    var temperature: Float = 1

    @Option(help: "Longest response in tokens; what the task needs, or 256, unless given.")
    var maxTokens: Int?

    @Option(help: "Seed of the problems and of sampling.")
    var seed: UInt64 = 1

    @Option(help: "Chat template: auto, chatml, llama3, mistral, plain, or one of the model's by name.")
    var template = "auto"

    @Option(help: "A model with the same tokenizer, to which the reverse KL is measured.")
    var teacher: String?

    @Option(help: "A file to be written: every sample, judged, as a line of a prompt file.")
    var output: String?

    @Option(help: "Sequences sampled at once; changes no result.")
    var slots = 64

    @OptionGroup var options: ModelOptions

    @Flag(help: "Ask for answers of one turn, also of a run whose rollouts are episodes.")
    var oneTurn = false

    @Flag(help: "Print one JSON object instead.")
    var json = false

    func validate() throws {
        guard (1...10_000).contains(samples) else { throw ValidationError("--samples takes 1 to 10000") }
        guard (1...1_000_000).contains(count ?? 1) else { throw ValidationError("--count takes 1 to 1000000") }
        guard maxTokens ?? 1 >= 1 else { throw ValidationError("--max-tokens takes 1 or more") }
        guard (1...65_536).contains(slots) else { throw ValidationError("--slots takes 1 to 65536") }
        guard temperature >= 0, temperature.isFinite else { throw ValidationError("--temperature takes 0 or more") }
        guard temperature > 0 || samples == 1 else {
            throw ValidationError("at --temperature 0 all samples are the same; give --samples 1")
        }
        guard teacher == nil || temperature == 1 else {
            throw ValidationError("--teacher needs --temperature 1: the divergence is that of the model's own tokens")
        }
    }

    func run() async throws {
        try output.map(checkOutput)
        if !oneTurn { try refuseEpisodes() }
        let begun = ContinuousClock.now
        let evaluated = options.reference(model)
        let description = try await ModelEvaluator.describe(evaluated)
        let problems = try ProblemSet(
            task, for: description, count: count, seed: seed, template: template, needsVerifiers: teacher == nil,
            maxTokens: maxTokens)
        var grader: (any ScoringBackend)?
        if let teacher {
            grader = try await ModelEvaluator.teacher(
                options.reference(teacher), of: description, threads: options.threadCount)
        }
        let evaluator = try await ModelEvaluator(evaluated, threads: options.threadCount, slots: slots)
        let settings = ModelEvaluator.Settings(samples: samples, temperature: temperature, seed: seed)
        var lines = ""
        let report = try await evaluator.evaluate(problems, settings, teacher: grader) { sample in
            if output != nil { lines += sample.jsonLine + "\n" }
        }
        try output.map { try write(lines, to: $0) }
        let seconds = begun.duration(to: .now).seconds
        if let flaw = report.flaws.first {
            printToStandardError(
                "warning: \(report.flaws.count) responses could not be judged and count as wrong: \(flaw)")
        }
        let subject = EvaluationSubject(
            model: model, task: task, teacher: teacher, temperature: Double(temperature),
            maxTokens: problems.maxTokens, seed: seed, seconds: seconds)
        try StandardOutput.shared.writeLine(json ? report.json(of: subject) : report.text(of: subject))
    }

    /// Refuses a model of a run with an environment, in which it has learnt to answer otherwise than it is asked here.
    private func refuseEpisodes() throws {
        let parts = URL(fileURLWithPath: model).pathComponents
        guard let place = parts.lastIndex(of: "checkpoints"), place > 0 else { return }
        let folder = RunFolder(NSString.path(withComponents: Array(parts[..<place])))
        // One that this version does not read tells nothing.
        let run = try? RunConfiguration.load(folder.configuration, requiring: []).configuration
        guard let environment = run?.data.environment, environment.isGiven else { return }
        let key = environment.command.isEmpty ? "name" : "command"
        throw CommandError.usage(
            "\(model): it is of a run whose rollouts are episodes (data.environment.\(key) in \(folder.configuration)), and "
                + "'opd eval' plays none; eval_pass_at_1 in \(folder.metrics) is that of episodes, and --one-turn asks "
                + "for answers of one turn all the same")
    }

    /// Checks before the work that no file is written over, and that the folder is there.
    private func checkOutput(_ path: String) throws {
        let files = FileManager.default
        guard !files.fileExists(atPath: path) else {
            throw CommandError.usage("--output \(path) exists; give another file")
        }
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        guard files.isWritableFile(atPath: folder) else {
            throw CommandError.usage("--output \(path): its folder is not there or cannot be written to")
        }
    }

    private func write(_ text: String, to path: String) throws {
        do {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .withoutOverwriting)
        } catch {
            throw CommandError(message: "--output \(path) cannot be written: \(error.localizedDescription)")
        }
    }
}

import ArgumentParser
import JSON
import Models
import NativeEngine
import Telemetry

struct ScoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "score", abstract: "Log-probabilities of given tokens.",
        discussion: """
            Reads one JSON array of n ids a line and writes one JSON array of n-1 log-probabilities a line: those of \
            ids 2 to n, each given the ids before it, in nats, at temperature 1.
            """)

    @Argument(help: "A model folder or a GGUF file.")
    var model: String

    @OptionGroup var options: ModelOptions

    func run() throws {
        let model = try NativeModel(
            try ModelFiles.open(model), type: options.dtype, threads: options.threadCount)
        var input = StandardInput()
        var batch = ScoreBatch()
        do {
            while let line = try input.next() {
                let ids = try parseTokenIDs(
                    line, number: input.line, vocabularySize: model.vocabularySize)
                guard ids.count <= model.contextLength else {
                    throw CommandError(
                        message:
                            "line \(input.line): \(ids.count) ids, but the model's context is \(model.contextLength)")
                }
                batch.append(ids)
                if batch.isFull || !input.isReady { try batch.write(scoredBy: model) }
            }
        } catch {
            // What came before the bad line is still answered.
            try batch.write(scoredBy: model)
            throw error
        }
        try batch.write(scoredBy: model)
    }
}

/// Lines that are scored together: memory stays bounded however long the input is.
private struct ScoreBatch {
    private static let tokenLimit = 16_384
    private var sequences: [[Int32]] = []
    private var tokens = 0

    var isFull: Bool { tokens >= Self.tokenLimit }

    mutating func append(_ ids: [Int32]) {
        sequences.append(ids)
        tokens += ids.count
    }

    mutating func write(scoredBy model: NativeModel) throws {
        let waiting = sequences
        (sequences, tokens) = ([], 0)
        guard !waiting.isEmpty else { return }
        for logprobs in try model.score(waiting) { try StandardOutput.shared.writeLine(JSONText.array(logprobs)) }
        try StandardOutput.shared.flush()
    }
}

import ArgumentParser
import Distillation
import JSON
import Models
import NativeEngine
import Telemetry
import Templates
import Tokenizers

struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Continue a text or answer a chat message.")

    @Argument(help: "A model folder or a GGUF file.")
    var model: String

    @Option(help: "Text to continue.")
    var prompt: String?

    @Option(help: "A user's message, put into the model's chat template.")
    var chat: String?

    @Option(help: "Most tokens to generate; as many as fit into the context, at most 256, unless given.")
    var maxTokens: Int?

    @Option(help: "Divides the logits; 0 always takes the most probable token.")
    var temperature: Float = 1

    @Option(help: "Draw from the smallest set of tokens with this probability.")
    var topP: Float = 1

    @Option(help: "Draw from this many most probable tokens; 0: all.")
    var topK = 0

    @Option(help: "A text that ends the response; may be repeated.")
    var stop: [String] = []

    @Option(help: "First tokens that end nothing: no end token is drawn for them.")
    var minTokens = 0

    @Flag(name: .customLong("ignore-eos"), help: "The model's end tokens end nothing.")
    var ignoreEOS = false

    @Option(help: "Seed: the same seed gives the same text.")
    var seed: UInt64 = 0

    @OptionGroup var options: ModelOptions

    @Flag(help: "Print one JSON object: prompt_ids, ids, logprobs, text, finish_reason.")
    var json = false

    func validate() throws {
        guard (prompt == nil) != (chat == nil) else { throw ValidationError("give either --prompt or --chat") }
        guard maxTokens ?? 1 >= 1 else { throw ValidationError("--max-tokens takes 1 or more") }
        guard temperature >= 0, temperature.isFinite else { throw ValidationError("--temperature takes 0 or more") }
        guard topP > 0, topP <= 1 else { throw ValidationError("--top-p takes a number above 0 and at most 1") }
        guard minTokens >= 0, minTokens <= maxTokens ?? .max else {
            throw ValidationError("--min-tokens takes 0 or more, and no more than --max-tokens")
        }
        guard stop.allSatisfy({ !$0.isEmpty }) else { throw ValidationError("--stop takes a text that is not empty") }
        guard topK >= 0 else { throw ValidationError("--top-k takes 0 or more") }
    }

    func run() throws {
        let files = try ModelFiles.open(model)
        let tokenizer = try files.loadTokenizer()
        var template: ChatTemplate?
        let promptIDs: [Int32]
        if let chat {
            let own = try files.chatTemplates().template()
            let text = try own.render(Conversation(user: chat))
            promptIDs = try own.isPlain ? tokenizer.encodeAddingSpecialTokens(text) : tokenizer.encode(text)
            template = own
        } else {
            // A text goes on without a template; one that is refused is of no matter here.
            template = try? files.chatTemplates().template()
            promptIDs = try tokenizer.encodeAddingSpecialTokens(prompt ?? "")
        }
        guard !promptIDs.isEmpty else { throw CommandError.usage("the prompt is empty") }
        let room = files.configuration.maxPositions - promptIDs.count
        guard room >= maxTokens ?? 1 else {
            throw CommandError(
                message: "the prompt has \(promptIDs.count) tokens, which leaves \(max(0, room)) of the context of "
                    + "\(files.configuration.maxPositions) for \(maxTokens ?? 1) new ones; shorten it")
        }
        let native = try NativeModel(files, type: options.dtype, threads: options.threadCount)
        let settings = SamplingSettings(
            maxTokens: maxTokens ?? min(256, room), temperature: temperature, topP: topP, topK: topK,
            stopTokenIDs: ignoreEOS ? [] : tokenizer.stopTokenIDs(endOfAnswer: template?.endOfAnswer ?? ""),
            stop: stop, minTokens: minTokens)
        guard json else {
            // Text is printed as it comes; special tokens are not shown.
            var decoder = IncrementalDecoder(tokenizer, skipSpecialTokens: true)
            _ = try native.response(to: promptIDs, settings, seed: seed, tokenizer: tokenizer) {
                for id in $0 { try StandardOutput.shared.write(decoder.append(id)) }
                try StandardOutput.shared.flush()
            }
            return try StandardOutput.shared.writeLine(decoder.finish())
        }
        guard let sample = try native.response(to: promptIDs, settings, seed: seed, tokenizer: tokenizer) else {
            throw CommandError(message: "the engine returned no text")
        }
        try StandardOutput.shared.writeLine(
            JSONText.object([
                ("prompt_ids", JSONText.array(promptIDs)), ("ids", JSONText.array(sample.ids)),
                ("logprobs", JSONText.array(sample.logprobs)),
                ("text", JSONText.string(tokenizer.decode(sample.ids, skipSpecialTokens: true))),
                ("finish_reason", JSONText.string(sample.finishReason.rawValue)),
            ]))
    }
}

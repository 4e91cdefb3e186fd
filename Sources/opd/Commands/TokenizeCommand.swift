import ArgumentParser
import JSON
import Models
import Telemetry
import Tokenizers

struct TokenizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize", abstract: "Turn texts into token ids.",
        discussion: "Reads one JSON string a line and writes one JSON array of ids a line.")

    @Argument(help: "A model folder, a tokenizer.json or a GGUF file.")
    var tokenizer: String

    func run() throws {
        let tokenizer = try ModelFiles.openTokenizer(tokenizer)
        var input = StandardInput()
        while let line = try input.next() {
            guard let text = try parseJSON(line, number: input.line, expected: "a JSON string").string else {
                throw CommandError(message: "line \(input.line): expected a JSON string")
            }
            try StandardOutput.shared.writeLine(JSONText.array(try tokenizer.encode(text)))
            if !input.isReady { try StandardOutput.shared.flush() }
        }
    }
}

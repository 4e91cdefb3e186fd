import ArgumentParser
import Models
import Rules

/// The type that weights are written in.
struct WeightTypeOption: ParsableArguments {
    @Option(
        name: .customLong("dtype"), help: "Type of the weights written: f32 or bf16; as they are stored unless given.")
    var dtype: ElementType?

    var type: ModelWriter.WeightType? { dtype.map { $0 == .bf16 ? .bf16 : .f32 } }
}

struct ConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert", abstract: "Write a model as a Hugging Face folder.")

    @Argument(help: "A model folder or a GGUF file.")
    var model: String

    @Argument(help: "The folder to write.")
    var out: String

    @OptionGroup var weights: WeightTypeOption

    @Flag(
        help:
            "Give a model whose head is its embeddings a head of its own: what a server is started from that takes new weights."
    )
    var untie = false

    func run() throws {
        try ModelWriter.convert(from: try ModelFiles.open(model), to: out, type: weights.type, untying: untie)
    }
}

import ArgumentParser
import Models

struct PruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Leave layers out of a model.",
        discussion: "Writes a Hugging Face folder; the other layers keep their order.")

    @Argument(help: "A model folder or a GGUF file.")
    var model: String

    @Argument(help: "The folder to write.")
    var out: String

    @Option(help: "Numbers of the layers to leave out, from 0, with commas: 12,15,18.")
    var drop: String

    @OptionGroup var weights: WeightTypeOption

    func run() throws {
        let layers = try drop.split(separator: ",", omittingEmptySubsequences: false).map { text -> Int in
            guard let layer = Int(text.filter { $0 != " " }), layer >= 0 else {
                throw CommandError.usage("--drop takes layer numbers with commas, got '\(drop)'")
            }
            return layer
        }
        try ModelPruning.prune(
            from: try ModelFiles.open(model), to: out, dropping: layers, type: weights.type)
    }
}

import ArgumentParser
import Models

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Write a small random model that reads bytes, to be trained from scratch.")

    @Argument(help: "Folder to write, in Hugging Face format.")
    var out: String

    @OptionGroup var shape: ShapeOptions

    func run() throws {
        guard (try? ModelFiles.open(out)) == nil else {
            throw CommandError.usage("\(out): holds a model; give another folder")
        }
        let made = ModelShape(
            layers: shape.layers ?? 4, hidden: shape.hidden ?? 128, heads: shape.heads ?? 4,
            keyValueHeads: shape.kvHeads ?? shape.heads ?? 4,
            intermediate: shape.intermediate ?? 3 * (shape.hidden ?? 128), context: shape.context ?? 256)
        do {
            _ = try made.configuration(source: "the shape")
        } catch let error as ModelError {
            throw CommandError.usage(error.message)
        }
        try ModelInitializer.write(to: out, shape: made, seed: shape.shapeSeed ?? 1)
        for line in FactLines.aligned(ModelSummary(try ModelFiles.open(out)).lines) {
            try StandardOutput.shared.writeLine(line)
        }
    }
}

/// The shape of a model from scratch.
struct ShapeOptions: ParsableArguments {
    @Option(help: "Decoder layers.") var layers: Int?
    @Option(help: "Width of the residual stream.") var hidden: Int?
    @Option(help: "Attention heads.") var heads: Int?
    @Option(help: "Key and value heads; divides --heads.") var kvHeads: Int?
    @Option(help: "Width of the feed-forward layers.") var intermediate: Int?
    @Option(help: "Longest sequence, in bytes.") var context: Int?
    @Option(help: "Seed of the weights.") var shapeSeed: UInt64?

    /// The shape as keys of a configuration.
    var overrides: [String] {
        let values = [
            ("layers", layers), ("hidden", hidden), ("heads", heads), ("kv_heads", kvHeads),
            ("intermediate", intermediate), ("context", context),
        ]
        return values.compactMap { name, value in value.map { "shape.\(name)=\($0)" } }
            + (shapeSeed.map { ["shape.seed=\($0)"] } ?? [])
    }
}

import ArgumentParser
import Configuration

/// A configuration file and what the command line changes in it.
struct ConfigurationOptions: ParsableArguments {
    @Argument(help: "The run's YAML file.")
    var config: String

    @Option(name: .customLong("set"), help: "Override a key, such as training.steps=10; may be repeated.")
    var overrides: [String] = []
}

struct RunConfigurationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Print a run's configuration with its defaults, or every problem in it.")

    @OptionGroup var options: ConfigurationOptions

    func run() throws {
        // Keys are where they are used.
        let loaded = try RunConfiguration.load(
            options.config, overrides: options.overrides, requiring: [.student, .teachers, .data])
        let configuration = loaded.configuration
        var notes: [String] = []
        for path in [configuration.data.prompts, configuration.data.heldout].compactMap(\.self) {
            _ = try PromptFile.read(path, for: configuration, note: { notes.append($0) })
        }
        for note in notes { printToStandardError("note: \(note)") }
        for warning in loaded.warnings { printToStandardError("warning: \(warning)") }
        try StandardOutput.shared.write(configuration.yaml(markingDefaults: true))
    }
}

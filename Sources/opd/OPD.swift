import ArgumentParser

/// The `opd` command: one subcommand a file, no logic here.
@main
struct OPD: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "opd", abstract: "On-policy distillation of language models.", version: "0.1.0")
}

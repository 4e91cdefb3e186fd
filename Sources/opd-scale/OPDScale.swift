import ArgumentParser

/// Measures what members cost a learner: one machine, no models.
@main struct OPDScale: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "opd-scale", abstract: "Measure what the members of a run cost its learner.",
        subcommands: [ExchangeCommand.self, MemoryCommand.self, ConnectionsCommand.self, MembersCommand.self])
}

import ArgumentParser
import Glibc
import Supervision

/// The `opd` command: one subcommand a file.
@main
struct OPD: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "opd", abstract: "On-policy distillation of language models.",
        discussion: "Begin with 'make run', or with 'opd run Examples/arithmetic.yaml'.", version: "opd 0.1.0",
        groupedSubcommands: [
            CommandGroup(
                name: "Runs",
                subcommands: [
                    RunCommand.self, PretrainCommand.self, LearnerCommand.self, RolloutCommand.self, ScorerCommand.self,
                    RelayCommand.self,
                    UpCommand.self, PsCommand.self, DownCommand.self,
                    StatusCommand.self, WatchCommand.self, ReportCommand.self, TraceCommand.self, ExportCommand.self,
                    RunConfigurationCommand.self, KeygenCommand.self,
                ]),
            CommandGroup(name: "Tasks", subcommands: [TaskCommand.self, EvalCommand.self]),
            CommandGroup(
                name: "Models",
                subcommands: [
                    InitCommand.self, InspectCommand.self, GenerateCommand.self, ScoreCommand.self,
                    TokenizeCommand.self, TemplateCommand.self,
                    PruneCommand.self, ConvertCommand.self, BenchCommand.self,
                ]),
        ])

    /// Exit status 0: done; 1: it failed; 2: the command line or the configuration is wrong. Every problem is one line.
    static func main() async {
        // A reader that went away shows as a failed write, not as a signal that kills a run.
        signal(SIGPIPE, SIG_IGN)
        MappedFileFailure.endWithOneLine()
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            try StandardOutput.shared.flush()
        } catch {
            try? StandardOutput.shared.flush()
            Failure(error).exit()
        }
    }
}

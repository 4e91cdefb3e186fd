import ArgumentParser
import Files
import RunFiles
import Watch

struct TraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Write a run's timeline for Perfetto: who did what when, and who waited.",
        discussion: """
            The file is in the Trace Event Format: open it at ui.perfetto.dev or in chrome://tracing. A run that goes on \
            is written as far as it is. See docs/watching.md.
            """)

    @Argument(help: ArgumentHelp("Folder of a run.", valueName: "run"))
    var path: String

    @Option(name: .shortAndLong, help: "The file; trace.json in the folder unless given, - is standard output.")
    var output: String?

    func run() throws {
        let folder = try RecordedRun.folder(path)
        guard FileTree.kind(folder.spans) != .missing else {
            throw CommandError.usage(
                "\(folder.path) has no spans.jsonl: the run was recorded by an older version, or has not begun")
        }
        let output = try ResultOutput(output, or: "trace.json", of: [folder], "trace")
        do {
            let trace = try TraceDocument(of: folder)
            if trace.unreadable > 0 {
                printToStandardError("warning: \(trace.unreadable) lines are no spans and are left out")
            }
            if trace.overlapping > 0 {
                printToStandardError("warning: \(trace.overlapping) spans overlap others and are left out")
            }
            try output.write(trace.json)
            try output.announce("\(trace.spanCount) spans of \(trace.laneCount) processes")
        } catch { throw RecordedRun.failure(error) }
    }
}

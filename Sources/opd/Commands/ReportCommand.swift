import ArgumentParser
import RunFiles
import Telemetry
import Watch

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Write a page of one or several runs: curves, coloured tokens, comparison.",
        discussion: """
            The page is one file that needs nothing beside it and no network. A run that goes on is shown as far as it is. \
            See docs/watching.md.
            """)

    private static let mostRuns = 16

    @Argument(help: "Folders of runs.")
    var runs: [String]

    @Option(name: .shortAndLong, help: "The page; report.html in the first folder unless given, - is standard output.")
    var output: String?

    @Option(help: "Folder with dygraph.min.js, where the system has none.")
    var charts: String?

    func validate() throws {
        guard (1...Self.mostRuns).contains(runs.count) else {
            throw ValidationError("a page takes 1 to \(Self.mostRuns) runs")
        }
    }

    func run() throws {
        let folders = try runs.map { try RecordedRun.folder($0) }
        let output = try ResultOutput(output, or: "report.html", of: folders, "page")
        let library = charts.map { ChartLibrary(in: $0) } ?? ChartLibrary.installed()
        if library == nil {
            let place = charts ?? "Debian's package libjs-dygraphs, or --charts FOLDER"
            printToStandardError("warning: no dygraphs library (\(RunLogHandler.oneLine(place))): tables, no curves")
        }
        let digests = folders.map { RunDigest(of: $0, bounds: .init(runs: folders.count)) }
        let page = ReportPage(digests, library: library, program: OPD.configuration.version).html
        do {
            try output.write(page)
            try output.announce("\(ProgressLine.fixed(Double(page.utf8.count) / 1e6, 1)) MB")
        } catch { throw RecordedRun.failure(error) }
    }
}

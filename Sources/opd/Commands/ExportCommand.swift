import ArgumentParser
import Files
import RunFiles
import Supervision
import Watch

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write a run's metrics, samples or spans as a table for other programs.",
        discussion: """
            The file has a row a line of the run's records and a column a member. A run that goes on is written as far \
            as it is. See docs/watching.md.
            """)

    /// What tables are written as.
    enum Format: String, ExpressibleByArgument, CaseIterable { case csv, parquet }
    /// What of a run becomes a table.
    enum Records: String, ExpressibleByArgument, CaseIterable { case metrics, samples, spans }

    @Argument(help: ArgumentHelp("Folder of a run.", valueName: "run"))
    var path: String

    @Option(name: .customLong("to"), help: "The table's format.")
    var format: Format

    @Option(name: .customLong("of"), help: "What is written.")
    var records = Records.metrics

    @Option(
        name: .shortAndLong,
        help: "The file; metrics.csv (samples.csv, ...) in the folder unless given, - is standard output.")
    var output: String?

    @Option(help: "The Python that writes Parquet, by its package pyarrow.")
    var python = "python3"

    func run() throws {
        let folder = try RecordedRun.folder(path)
        let source =
            switch records {
            case .metrics: folder.metrics
            case .samples: folder.samples
            case .spans: folder.spans
            }
        guard FileTree.kind(source) != .missing else {
            throw CommandError.usage("\(source) is missing: the run has recorded no \(records.rawValue)")
        }
        let parquet = try format == .parquet ? parquetWriter() : nil
        let output = try ResultOutput(
            output, or: "\(records.rawValue).\(format.rawValue)", of: [folder], "table")
        do {
            let table = try RecordTable(source)
            if table.unreadable > 0 {
                printToStandardError("warning: \(table.unreadable) lines of \(source) are no records and are left out")
            }
            try output.write { append in
                if let parquet { try parquet.write(table, append) } else { try table.writeCSV(append) }
            }
            try output.announce("\(table.rowCount) rows of \(table.columns.count) columns")
        } catch { throw RecordedRun.failure(error) }
    }

    private func parquetWriter() throws(CommandError) -> ParquetWriter {
        do { return try ParquetWriter(python: ProcessSpec.path(of: python)) } catch { throw .usage("\(error)") }
    }
}

import ArgumentParser
import JSON
import RunFiles
import Runs
import Telemetry

struct BenchDifferencesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "differences",
        abstract: "Measure what a run's weights have otherwise from one checkpoint to the next, as workers get it.")

    @Argument(help: "A run's folder, with the checkpoints of two steps or more (checkpoint.every=1).")
    var folder: String

    @Option(help: "Times that each difference is made and applied, of which the fastest counts.")
    var repetitions = 3

    @Option(help: "Compute threads of the engine that reads the checkpoints.")
    var threads: Int?

    @Flag(help: "Print one JSON object a line instead of text.")
    var json = false

    func validate() throws {
        try checkLimits([("--repetitions", repetitions, 1024), ("--threads", threads ?? 1, 1024)])
    }

    func run() async throws {
        try await DifferenceBenchmark.run(RunFolder(folder), threads: threads, repetitions: repetitions) { result in
            let times = Double(result.snapshotBytes) / Double(result.differenceBytes)
            try StandardOutput.shared.writeLine(
                json
                    ? JSONText.object([
                        ("peer", JSONText.string("opd")), ("what", JSONText.string("differences")),
                        ("from_step", String(result.fromStep)), ("to_step", String(result.toStep)),
                        ("snapshot_bytes", String(result.snapshotBytes)),
                        ("difference_bytes", String(result.differenceBytes)),
                        ("density", JSONText.number(result.density)), ("times_less", JSONText.number(times)),
                        ("check_s", JSONText.number(result.checkSeconds)),
                        ("encode_s", JSONText.number(result.encodeSeconds)),
                        ("apply_s", JSONText.number(result.applySeconds)),
                    ])
                    : "steps \(result.fromStep) to \(result.toStep): "
                        + "\(ProgressLine.fixed(100 * result.density, 2))% of the weights changed, "
                        + "\(result.differenceBytes >> 10) of \(result.snapshotBytes >> 10) KiB "
                        + "(\(ProgressLine.fixed(times, 1)) times less); made in "
                        + "\(ProgressLine.fixed(result.encodeSeconds, 3)) s, applied in "
                        + "\(ProgressLine.fixed(result.applySeconds, 3)) s "
                        + "(a whole version is checked in \(ProgressLine.fixed(result.checkSeconds, 3)) s)")
        }
    }
}

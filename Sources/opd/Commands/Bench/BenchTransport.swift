import ArgumentParser
import JSON
import Logging
import Runs
import Telemetry
import Wire
import Wording

struct BenchTransportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "transport", abstract: "Measure trajectories a second through sockets and exchange and back.")

    @Option(help: "Rollout workers.")
    var clients = 4

    @Option(help: "Array bytes of a trajectory; 8 a token.")
    var bytes = 1024

    @Option(help: "Trajectories that pass.")
    var count = 4000

    @Option(help: "Trajectories that a worker has under way.")
    var window = 16

    @Flag(help: "Print one JSON object instead of a line.")
    var json = false

    func validate() throws {
        try checkLimits([("--clients", clients, 256), ("--count", count, 1_000_000), ("--window", window, 4096)])
        guard (16...16 << 20).contains(bytes) else { throw ValidationError("--bytes takes 16 to \(16 << 20)") }
    }

    func run() async throws {
        var logger = Logger(label: "bench")
        logger.logLevel = .error
        let result = try await TransportBenchmark.run(
            clients: clients, byteCount: bytes, trajectories: count, window: window, logger: logger)
        let rate = Double(result.trajectories) / result.seconds
        let first = Double(result.trajectories) / result.firstSeconds
        try StandardOutput.shared.writeLine(
            json
                ? JSONText.object([
                    ("peer", JSONText.string("opd")), ("what", JSONText.string("transport")),
                    ("bytes", String(bytes)), ("clients", String(clients)), ("window", String(window)),
                    ("messages_per_second", JSONText.number(rate)),
                    ("first_messages_per_second", JSONText.number(first)),
                    ("bytes_per_second", JSONText.number(rate * Double(result.byteCount))),
                ])
                : "transport: \(ProgressLine.fixed(rate, 0)) trajectories/s of \(result.byteCount) bytes, "
                    + "\(ProgressLine.fixed(rate * Double(result.byteCount) / 1e6, 1)) MB/s (\(clients) clients, "
                    + "\(window) each; \(ProgressLine.fixed(first, 0)) trajectories/s in the first round)"
        )
    }
}

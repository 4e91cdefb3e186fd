import ArgumentParser
import Files
import Logging
import PageServer
import RunFiles
import Runs
import Supervision
import Telemetry
import Transport
import Watch

struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Serve a live page of one or several runs to a browser.",
        discussion: """
            Prints the address of the page and serves it until Ctrl-C. The page has all of 'opd report', moves as the runs \
            do, and shows who takes part. Runs may go on or be over; none of them notices. Prometheus finds the numbers at \
            /metrics. See docs/watching.md.
            """)

    private static let mostRuns = 16

    @Argument(help: "Folders of runs, or endpoints of learners such as tcp://127.0.0.1:5555.")
    var runs: [String]

    @Option(help: "Port; \(Watcher.defaultPort), or a free one where that is in use, unless given.")
    var port: UInt16?

    @Option(help: "Address to listen at. Beyond this machine a token is needed, which is part of the address printed.")
    var host = "127.0.0.1"

    @Option(name: .customLong("token-file"), help: "File with the token, in place of a new one each time.")
    var tokenFile: String?

    @Option(help: "Folder with dygraph.min.js, where the system has none.")
    var charts: String?

    @Option(help: "Configuration whose member keys to use, where a run's own cannot be.")
    var config: String?

    func validate() throws {
        guard (1...Self.mostRuns).contains(runs.count) else {
            throw ValidationError("a page takes 1 to \(Self.mostRuns) runs")
        }
    }

    func run() async throws {
        ChildProcess.followParent()
        let sources = try runs.map { try Self.source($0) }
        try RunLog.bootstrap(path: nil, name: "watch", verbosity: .quiet)
        var options = Watcher.Options()
        (options.host, options.port, options.token) = (host, port, try token)
        options.program = OPD.configuration.version
        options.library = charts.map { ChartLibrary(in: $0) } ?? ChartLibrary.installed()
        if options.library == nil {
            let place = charts ?? "Debian's package libjs-dygraphs, or --charts FOLDER"
            printToStandardError("warning: no dygraphs library (\(RunLogHandler.oneLine(place))): tables, no curves")
        }
        let asker = LearnerQuestion(config: config, logger: Logger(label: "watch"))
        let watcher = try Watcher(sources, options: options, ask: asker.ask)
        try StandardOutput.shared.writeLine(watcher.address)
        try StandardOutput.shared.flush()
        let (signals, inbox) = AsyncStream.makeStream(of: String.self)
        let signal = StopSignal { inbox.yield($0) }
        for await _ in signals { break }
        watcher.stop(because: ChildProcess.isManaged ? "the run has ended" : "the watcher was stopped")
        signal.end()
    }

    private static func source(_ text: String) throws -> WatchSource {
        if text.contains("://") { return .endpoint(text) }
        let folder = RunFolder(text)
        // A run that has just begun has nothing in its folder yet.
        guard RunDigest.isRun(folder) || ChildProcess.isManaged || FileTree.leadsToFolder(folder.checkpoints) else {
            throw CommandError.usage(
                "\(text) is neither the folder of a run, with config.yaml or metrics.jsonl in it, nor a learner's endpoint "
                    + "such as tcp://127.0.0.1:5555")
        }
        return .folder(folder)
    }

    /// The token that browsers must show; nil where none is needed.
    private var token: String? {
        get throws {
            guard let tokenFile else { return PageServer.isLoopback(host) ? nil : AccessRule.newToken() }
            let text: String
            do { text = try FileTree.read(tokenFile, limit: 4096) } catch { throw CommandError.usage("\(error)") }
            let token = text.split(separator: "\n").first.map(String.init) ?? ""
            guard token.utf8.count >= 16, token.utf8.allSatisfy(Self.isPlain) else {
                throw CommandError.usage(
                    "\(tokenFile) has no token in its first line: 16 or more letters, digits, '-' or '_', such as "
                        + "'openssl rand -hex 16' makes")
            }
            return token
        }
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }
}

/// Asks learners how their runs are, with the keys that they need.
private struct LearnerQuestion: Sendable {
    let config: String?
    let logger: Logger

    @Sendable func ask(_ run: RunFolder?, _ endpoint: String) async -> StatusAnswer {
        do {
            let keys = try StatusKeys.find(config: config, run: run)
            return .status(
                try await StatusQuery.ask(endpoint, keys: keys, patience: .seconds(3), logger: logger))
        } catch let error as CommandError {
            return .silence(error.message)
        } catch {
            return .silence("\(error)")
        }
    }
}

import ArgumentParser
import Logging
import RunFiles
import Telemetry
import Transport
import Wire

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show a live run: its members, leases, queues, and who waits for whom.")

    @Argument(help: "Endpoint of the learner, such as tcp://127.0.0.1:5555, or a run folder on this machine.")
    var endpoint: String

    @Option(help: "Configuration whose member keys to use, where the run has keys and its own cannot be used.")
    var config: String?

    @Flag(help: "Print one line of JSON instead.")
    var json = false

    @Option(help: "Seconds to wait for an answer.")
    var timeout = 5.0

    func validate() throws {
        guard timeout > 0, timeout <= 3600 else { throw ValidationError("--timeout is above 0 and at most 3600") }
    }

    func run() async throws {
        try RunLog.bootstrap(path: nil, name: "status", verbosity: .quiet)
        let run = endpoint.contains("://") ? nil : RunFolder(endpoint)
        let address = try address, keys = try StatusKeys.find(config: config, run: run)
        let status: Status
        do {
            status = try await StatusQuery.ask(
                address, keys: keys, patience: .seconds(timeout), logger: Logger(label: "status"))
        } catch let error as StatusError where keys == nil && run == nil {
            throw CommandError(
                message:
                    "\(error); where the run has keys, give --config FILE, a configuration with those of a worker or "
                    + "a scorer")
        }
        try StandardOutput.shared.writeLine(json ? status.json : status.text)
    }

    private var address: String {
        get throws {
            if endpoint.contains("://") { return endpoint }
            guard let written = RunFolder(endpoint).readEndpoint() else {
                throw CommandError.usage(
                    "\(endpoint) is neither an endpoint, such as tcp://127.0.0.1:5555, nor the folder of a run that has begun"
                )
            }
            return written
        }
    }
}

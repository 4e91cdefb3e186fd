import ArgumentParser
import Configuration
import Logging
import Runs
import Supervision
import Telemetry

struct RelayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay", abstract: "Run a relay, which passes weights on to many workers near it.",
        discussion: """
            Workers and scorers connect to it as to the learner. It fetches every version of the weights once, and passes \
            everything else on as it came. It ends with the run.
            """)

    @OptionGroup var options: ConfigurationOptions

    @Option(
        help: """
            Endpoint of the learner, such as tcp://10.0.0.1:7177, or several with commas between, of which the next is \
            taken when one does not answer.
            """)
    var connect: String

    @Option(help: "Endpoint of a relay between this one and the learner, or several with commas between.")
    var relay: String?

    @Option(help: "Endpoint to listen at, such as tcp://10.0.0.2:7178.")
    var bind: String

    @Option(help: "The most GiB of weights to hold; a whole version should fit.")
    var memory = 16.0

    @OptionGroup var verbosity: VerbosityOptions

    func validate() throws {
        guard memory >= 0.001, memory <= 65536 else {
            throw ValidationError("--memory is at least 0.001 and at most 65536 GiB")
        }
    }

    func run() async throws {
        ChildProcess.followParent()
        let configuration = try RunConfiguration.load(options.config, overrides: options.overrides, requiring: [])
            .configuration
        try RunLog.bootstrap(path: nil, name: "relay", verbosity: verbosity.level)
        throw ExitCode(
            try await RelayProcess.run(
                configuration, connect: connect, relay: relay, bind: bind, byteLimit: Int(memory * Double(1 << 30)),
                logger: Logger(label: "relay")))
    }
}

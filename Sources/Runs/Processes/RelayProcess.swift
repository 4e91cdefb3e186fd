import Configuration
import Foundation
import Logging
import Relaying
import Supervision
import Transport
import Wording
import ZeroMQ

/// A relay as a process.
package enum RelayProcess {
    /// Why there is no relay in a run with keys.
    private static let keysRefusal =
        "relays pass nothing on in a run with keys yet: let its members connect to the learner itself, or leave out the "
        + "keys and set pipeline.allow_plaintext where the network is private"

    /// Serves members at `bind` until the run is over or a signal comes.
    /// - Parameters:
    ///   - connect: the learner's endpoint or another relay's, or several with commas between, in the order in which
    ///     they are tried.
    ///   - byteLimit: the most bytes of weights to hold.
    /// - Returns: the exit status.
    /// - Throws: `UsageError` for what the user must mend, `ZeroMQError` when it cannot listen.
    package static func run(
        _ configuration: RunConfiguration, connect: String, bind: String, byteLimit: Int, logger: Logger
    ) async throws -> Int32 {
        guard !configuration.hasKeys else { throw UsageError(keysRefusal) }
        let allowPlaintext = configuration.pipeline.allowPlaintext
        let upstream = try EndpointPolicy.endpoints(connect, allowPlaintext: allowPlaintext, isEncrypted: false)
        try EndpointPolicy.check(bind, allowPlaintext: allowPlaintext, isEncrypted: false)
        guard !upstream.contains(bind) else {
            throw UsageError("\(bind): a relay cannot connect to itself; give the learner's endpoint to --connect")
        }
        // A batch scheduler may send it to every process: it is for the learner alone.
        signal(SIGUSR1, SIG_IGN)
        let members = try ZeroMQTransport.learner(bind: bind, options: Relay.options, logger: logger)
        let context = try Context()
        let relay = Relay(members: members, byteLimit: byteLimit, logger: logger) { identity in
            try ZeroMQTransport.member(
                connect: upstream, identity: identity, options: Relay.options, context: context, logger: logger)
        }
        logger.info("listening at \(members.endpoint), in plain text, for the learner at \(connect)")
        let stopping = StopSignal { _ in await relay.stop() }
        defer { stopping.end() }
        await relay.run()
        let summary = await relay.summary
        logger.info("\(summary)")
        if stopping.isReceived { return stopping.exitCode }
        return await relay.isOver ? 0 : 1
    }
}

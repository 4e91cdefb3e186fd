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
    /// Serves members at `bind` until the run is over or a signal comes.
    /// - Parameters:
    ///   - connect: the learner's endpoint, or several with commas between, in the order in which they are tried.
    ///   - relay: endpoints of relays, which are tried first; nil: none.
    ///   - byteLimit: the most bytes of weights to hold.
    /// - Returns: the exit status.
    /// - Throws: `UsageError` for what the user must mend, `ZeroMQError` when it cannot listen.
    package static func run(
        _ configuration: RunConfiguration, connect: String, relay: String? = nil, bind: String, byteLimit: Int,
        logger: Logger
    ) async throws -> Int32 {
        let keys = try configuration.relayKeys(isBehindRelay: relay != nil), isEncrypted = keys != nil
        let allowPlaintext = configuration.pipeline.allowPlaintext
        let upstream = try EndpointPolicy.endpoints(
            connect, allowPlaintext: allowPlaintext, isEncrypted: isEncrypted)
        let relays = try configuration.relays(relay, isEncrypted: isEncrypted)
        try EndpointPolicy.check(bind, allowPlaintext: allowPlaintext, isEncrypted: isEncrypted)
        guard !(relays + upstream).contains(bind) else {
            throw UsageError("\(bind): a relay cannot connect to itself; give the learner's endpoint to --connect")
        }
        // A batch scheduler may send it to every process: it is for the learner alone.
        signal(SIGUSR1, SIG_IGN)
        let members = try ZeroMQTransport.learner(
            bind: bind, keys: keys?.members, options: Relay.options, logger: logger)
        let context = try Context()
        let relay = Relay(members: members, byteLimit: byteLimit, logger: logger) { identity in
            try ZeroMQTransport.member(
                connect: upstream, relays: relays, identity: identity, keys: keys?.learner, options: Relay.options,
                context: context, logger: logger)
        }
        let privacy = isEncrypted ? "encrypted" : "in plain text"
        let targets = (relays + upstream).joined(separator: ", or ")
        logger.info("listening at \(members.endpoint), \(privacy), for the learner at \(targets)")
        let stopping = StopSignal { _ in await relay.stop() }
        defer { stopping.end() }
        await relay.run()
        let summary = await relay.summary
        logger.info("\(summary)")
        if stopping.isReceived { return stopping.exitCode }
        return await relay.isOver ? 0 : 1
    }
}

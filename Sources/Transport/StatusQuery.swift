import Logging
import Wire
import Wording

/// A learner did not say how its run is.
package struct StatusError: MessageError, Equatable {
    package let message: String
}

/// Asks a learner how its run is.
package enum StatusQuery {
    /// - Parameters:
    ///   - endpoint: of the learner.
    ///   - keys: of a worker or a scorer of the run; nil where it has none.
    ///   - patience: how long to wait for an answer.
    /// - Throws: ``StatusError`` when none comes, `ZeroMQError` when the endpoint is none.
    package static func ask(
        _ endpoint: String, keys: MemberKeys?, patience: Duration, logger: Logger
    ) async throws -> Status {
        // A question with a name of its own: it takes nobody's place.
        let identity = "status-\(String(UInt64.random(in: 1 ... .max), radix: 16))"
        let transport = try ZeroMQTransport.member(connect: endpoint, identity: identity, keys: keys, logger: logger)
        return try await ask(through: transport, endpoint, patience: patience)
    }

    /// Asks through a transport, which is closed then.
    package static func ask(
        through transport: any Transport, _ endpoint: String, patience: Duration
    ) async throws -> Status {
        let asking = Task {
            // Once more every second, in case a question or an answer is lost.
            let deadline = ContinuousClock.now + patience
            while !Task.isCancelled, ContinuousClock.now < deadline {
                try transport.send(.statusRequest)
                try await Task.sleep(for: min(.seconds(1), deadline - .now))
            }
            await transport.close()
        }
        defer { asking.cancel() }
        for await event in transport.events {
            guard case .message(.status(let status), _) = event else { continue }
            asking.cancel()
            await transport.close()
            return status
        }
        throw StatusError(
            message: "no learner has answered at \(endpoint) for \(patience.shortSeconds) s: is it running, and is the "
                + "endpoint right? (a run's own is in the file 'endpoint' of its folder)")
    }
}

import Transport
import Wire

/// Answers members while a learner's models load, which an engine in processes of its own may take minutes for: the
/// learner lives, and they are to say hello again. Members of the learner before it, which still hold work, too.
package struct StartingLearner: Sendable {
    private let transport: any Transport
    private let quiet: Duration

    /// - Parameter quiet: how long nobody is answered: who loads at once answers by itself, and what waits for it then is
    ///   the learner's.
    package init(_ transport: any Transport, after quiet: Duration = .seconds(10)) {
        self.transport = transport
        self.quiet = quiet
    }

    /// Answers until the task is cancelled, or the transport is closed.
    package func answer() async {
        guard (try? await Task.sleep(for: quiet)) != nil else { return }
        for await event in transport.events {
            guard case .message(let message, from: let peer) = event, Self.isAnswered(message) else { continue }
            let wait = Reject(code: .unknownPeer, message: "its models are still loading")
            // What cannot be sent is asked for again.
            try? transport.send(.reject(wait), to: peer)
            if Task.isCancelled { return }
        }
    }

    /// Says whether a member sent it that is to say hello again.
    private static func isAnswered(_ message: Message) -> Bool {
        switch message {
        // Another version is refused by the learner itself, once it is there.
        case .hello(let hello): hello.protocolVersion == Codec.version
        // Who asks for the run's status, or leaves, would take the answer for something else, or never gets it.
        case .statusRequest, .goodbye: false
        default: message.senders != nil
        }
    }
}

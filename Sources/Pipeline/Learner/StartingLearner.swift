import Transport
import Wire

/// Answers members while a learner's models load, which an engine in processes of its own may take minutes for: the
/// learner lives, and they are to say hello again.
package struct StartingLearner: Sendable {
    private let transport: any Transport

    package init(_ transport: any Transport) { self.transport = transport }

    /// Answers until the task is cancelled, or the transport is closed.
    package func answer() async {
        for await event in transport.events {
            // A hello of another version is refused by the learner itself, once it is there.
            guard case .message(.hello(let hello), from: let peer) = event, hello.protocolVersion == Codec.version
            else {
                continue
            }
            let wait = Reject(code: .unknownPeer, message: "its models are still loading")
            // What cannot be sent is asked for again.
            try? transport.send(.reject(wait), to: peer)
        }
    }
}

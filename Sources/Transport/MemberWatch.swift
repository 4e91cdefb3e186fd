import Logging
import ZeroMQ

/// Logs once why a member's connection to its learner does not come about. For the socket's thread only.
final class MemberWatch {
    private let monitor: ConnectionMonitor
    private let endpoint: String
    private let key: CurveKey?
    /// Who is to be there, for people, and the key of the configuration that names its key.
    private let server: (name: String, key: String)
    private let logger: Logger
    private var logged: Set<String> = []

    /// Watches a socket that has not connected yet.
    init(_ socket: Socket, endpoint: String, isRelay: Bool, keys: MemberKeys?, logger: Logger) throws {
        monitor = try ConnectionMonitor(socket)
        pollItems = [.descriptor(try monitor.socket.descriptor, .readable)]
        self.endpoint = endpoint
        key = keys?.keys.publicKey
        server = isRelay ? ("relay", "security.relay_public_key") : ("learner", "security.learner_public_key")
        self.logger = logger
    }

    func close() { monitor.close() }

    /// What to wait on beside the socket. `logFailures` reads all there is, so that the descriptor tells of what comes then.
    let pollItems: [PollItem]

    /// Reads what happened to the connection, and logs why it failed.
    /// - Parameter each: sees everything that happened.
    func logFailures(_ each: (ConnectionEvent) -> Void) throws {
        while let event = try monitor.next() {
            each(event)
            switch event {
            case .refused:
                log(
                    "the \(server.name) does not let in the key \(key?.text ?? ""): add it to the \(server.name)'s list of clients"
                )
            case .handshakeFailed(.mechanism):
                log(
                    key == nil
                        ? "the \(server.name) wants keys: set those under security in the configuration"
                        : "the \(server.name) has no keys, so nothing is sent to it: set security.\(server.name)_key there"
                )
            case .handshakeFailed(.key): log("what the learner sent cannot be decrypted")
            case .handshakeFailed(.malformed): log("what answers there is no \(server.name)")
            case .handshakeFailed(.unfinished) where key != nil:
                log(
                    "the handshake was broken off: is \(server.key) that of this \(server.name)? (Relays are named with --relay.)"
                )
            // Which side hangs up first is chance.
            case .handshakeFailed(.unfinished):
                log(
                    "the handshake was broken off, as by a \(server.name) that wants keys: see security in the configuration"
                )
            case .handshakeFailed, .accepted, .connected, .disconnected, .acceptFailed: continue
            }
        }
    }

    private func log(_ text: String) {
        guard logged.insert(text).inserted else { return }
        logger.warning("\(endpoint): \(text)")
    }
}

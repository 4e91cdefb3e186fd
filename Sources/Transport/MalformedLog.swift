import Logging
import Wire

/// Tells of the first malformed message of each peer.
struct MalformedLog: Sendable {
    private var logged: Set<PeerID> = []
    private let logger: Logger
    /// Identities cost a hostile peer nothing, so only so many are remembered.
    private static let maximumPeers = 1024

    init(logger: Logger) { self.logger = logger }

    mutating func record(_ error: WireError, from peer: PeerID) {
        guard logged.count < Self.maximumPeers, logged.insert(peer).inserted else { return }
        logger.warning("\(peer): malformed message dropped: \(error.reason); further ones are only counted")
    }

    /// The socket has failed. What that ends is for others to say.
    func fatal(_ error: any Error) {
        logger.warning("the transport stopped: \(error)")
    }
}

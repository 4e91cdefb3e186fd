import Logging
import Wire

/// Counts malformed messages a peer, and tells of the first of each.
struct MalformedLog: Sendable {
    private var counts: [PeerID: Int] = [:]
    private let logger: Logger
    /// Identities cost a hostile peer nothing, so only so many are remembered.
    private static let maximumPeers = 1024

    init(logger: Logger) { self.logger = logger }

    mutating func record(_ error: WireError, from peer: PeerID) {
        let seen = counts[peer]
        guard seen != nil || counts.count < Self.maximumPeers else { return }
        counts[peer] = (seen ?? 0) + 1
        if seen == nil {
            logger.warning("\(peer): malformed message dropped: \(error.reason); further ones are only counted")
        }
    }

    /// The socket has failed. What that ends is for others to say.
    func fatal(_ error: any Error) {
        logger.warning("the transport stopped: \(error)")
    }

    /// Malformed messages of each peer that sent one.
    var countsByPeer: [PeerID: Int] { counts }
}

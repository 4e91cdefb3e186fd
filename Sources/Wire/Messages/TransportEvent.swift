/// What a transport tells its user.
package enum TransportEvent: Sendable, Equatable {
    case message(Message, from: PeerID)
    /// The message was not sent: the peer is not connected, or does not take what is queued for it.
    case undeliverable(Message, to: PeerID)
}

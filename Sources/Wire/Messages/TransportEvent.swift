/// What a transport tells its user.
package enum TransportEvent: Sendable, Equatable {
    case message(Message, from: PeerID)
    /// A message with its frames as they came, of a transport that keeps them (`TransportOptions.keepsFrames`).
    case framed(Message, [Frame], from: PeerID)
    /// The message was not sent: the peer is not connected, or does not take what is queued for it.
    case undeliverable(Message, to: PeerID)
}

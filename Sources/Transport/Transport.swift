import Wire

/// Carries messages between a learner and its members.
///
/// Messages of one sender to one receiver arrive in order, at most once; a connection that breaks loses what is on
/// the way. What must arrive is sent again by its sender until it is acknowledged.
package protocol Transport: AnyObject, Sendable {
    /// Queues `message` for `peer` and returns at once. Throws when the message cannot be encoded; after `close` it is
    /// dropped.
    func send(_ message: Message, to peer: PeerID) throws(WireError)

    /// Received messages and failures to send, for one consumer. When it is slow, receiving stops until it catches
    /// up, and senders hold their messages; over sockets for 20 s, then the connection breaks. Ends after `close`.
    var events: TransportEvents { get }

    /// Stops receiving, sends what is queued for at most `TransportOptions.linger`, and frees everything. Further
    /// calls wait for the first.
    func close() async

    var statistics: TransportStatistics { get }
}

extension Transport {
    /// Queues `message` for the learner.
    package func send(_ message: Message) throws(WireError) { try send(message, to: .learner) }
}

/// Sizes and times of a transport.
package struct TransportOptions: Sendable {
    /// Received messages that may wait for the consumer before receiving stops.
    package var inboundMessages = 256
    /// Bytes of received messages that may wait for the consumer.
    package var inboundBytes = 256 << 20
    /// Messages that may wait for one peer that takes none; further ones are undeliverable.
    package var outboundMessages = 8192
    /// Bytes of messages that may wait for one peer.
    package var outboundBytes = 1 << 30
    /// Messages that libzmq holds for one peer in each direction, beside the above.
    package var socketMessages = 64
    /// How long `close` goes on sending.
    package var linger: Duration = .seconds(1)
    package var limits = WireLimits.standard
    /// What a learner grants each connection.
    package var connections = ConnectionLimits()
    /// Whether received messages come with their frames (`TransportEvent.framed`), for one who passes them on.
    package var keepsFrames = false
    /// How long an endpoint with a connection may leave everything unanswered before a member goes on with its next.
    package var silence = EndpointChoice.silence

    package init() {}
}

/// What passed through a transport since it was opened.
package struct TransportStatistics: Sendable, Equatable {
    package var messagesIn: UInt64 = 0
    package var bytesIn: UInt64 = 0
    package var messagesOut: UInt64 = 0
    package var bytesOut: UInt64 = 0
    /// Bytes of weights among them, which are those of `weights_chunk`.
    package var weightBytesOut: UInt64 = 0
    /// Received messages that were dropped because they are not what docs/protocol.md allows.
    package var malformed: UInt64 = 0
    /// Connections and messages that a learner turned away: a key that is unknown or another role's, a handshake that
    /// failed, a connection above `ConnectionLimits`.
    package var refused: UInt64 = 0
    /// Messages that a learner dropped because their peer sends too many.
    package var throttled: UInt64 = 0
    package var undeliverable: UInt64 = 0

    package init() {}
}

import Wire

/// Names the other end of a connection: the ZeroMQ identity of a member with the key it has proved to hold, or
/// `learner`.
public struct PeerID: Hashable, Sendable {
    package let bytes: [UInt8]
    /// The public key of its connection; nil without encryption.
    package let key: String?

    package init(bytes: [UInt8], key: String? = nil) {
        self.bytes = bytes
        self.key = key
    }

    /// The peer that calls itself `name`: 1 ... 255 UTF-8 bytes.
    public init(_ name: String) { self.init(bytes: Array(name.utf8)) }

    /// The learner, as its members see it. No member can have this name: it is empty.
    public static let learner = PeerID(bytes: [])
}

extension PeerID: CustomStringConvertible {
    /// The name, or the bytes in hexadecimal when they are not printable ASCII.
    public var description: String {
        if bytes.isEmpty { return "learner" }
        if bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) { return String(decoding: bytes, as: UTF8.self) }
        let digits = Array("0123456789abcdef")
        return "0x" + String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}

extension PeerID {
    // The bytes at once: an array feeds them one by one.
    public func hash(into hasher: inout Hasher) {
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        hasher.combine(key)
    }
}

/// What a transport tells its user.
public enum TransportEvent: Sendable, Equatable {
    case message(Message, from: PeerID)
    /// The message was not sent: the peer is not connected, or does not take what is queued for it.
    case undeliverable(Message, to: PeerID)
}

/// Carries messages between a learner and its members.
///
/// Messages of one sender to one receiver arrive in order, at most once; a connection that breaks loses what is on
/// the way. What must arrive is sent again by its sender until it is acknowledged.
public protocol Transport: AnyObject, Sendable {
    /// Queues `message` for `peer` and returns at once. Throws when the message cannot be encoded; after `close` it is
    /// dropped.
    func send(_ message: Message, to peer: PeerID) throws(WireError)

    /// Received messages and failures to send, for one consumer. When it is slow, receiving stops until it catches
    /// up, and senders hold their messages. Ends after `close`.
    var events: TransportEvents { get }

    /// Stops receiving, sends what is queued for at most `TransportOptions.linger`, and frees everything. Further
    /// calls wait for the first.
    func close() async

    var statistics: TransportStatistics { get }
}

extension Transport {
    /// Queues `message` for the learner.
    public func send(_ message: Message) throws(WireError) { try send(message, to: .learner) }
}

/// Sizes and times of a transport.
public struct TransportOptions: Sendable {
    /// Received messages that may wait for the consumer before receiving stops.
    public var inboundMessages = 256
    /// Bytes of them.
    public var inboundBytes = 256 << 20
    /// Messages that may wait for one peer that takes none; further ones are undeliverable.
    public var outboundMessages = 8192
    /// Bytes of them.
    public var outboundBytes = 1 << 30
    /// Messages that libzmq holds for one peer in each direction, beside the above.
    public var socketMessages = 64
    /// How long `close` goes on sending.
    public var linger: Duration = .seconds(1)
    public var limits = WireLimits.standard
    /// What a learner grants each connection.
    public var connections = ConnectionLimits()

    public init() {}
}

/// What passed through a transport since it was opened.
public struct TransportStatistics: Sendable, Equatable {
    public var messagesIn: UInt64 = 0
    public var bytesIn: UInt64 = 0
    public var messagesOut: UInt64 = 0
    public var bytesOut: UInt64 = 0
    /// Received messages that were dropped because they are not what docs/protocol.md allows.
    public var malformed: UInt64 = 0
    /// Connections and messages that a learner turned away: a key that is unknown or another role's, a handshake that
    /// failed, a connection above `ConnectionLimits`.
    public var refused: UInt64 = 0
    /// Messages that a learner dropped because their peer sends too many.
    public var throttled: UInt64 = 0
    public var undeliverable: UInt64 = 0

    public init() {}
}

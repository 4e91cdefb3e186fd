import DequeModule
import Wording
import ZeroMQ

/// What a learner grants a connection before it cuts it or drops what comes over it.
package struct ConnectionLimits: Sendable, Equatable {
    /// Connections that may be open at once.
    package var connections = 4096
    /// What a person can do for more of them, where it is not `connections` that was meant; nil: nothing is known.
    package var advice: String?
    /// Connections among them that have not sent a message yet that this learner takes: one too many costs the oldest. As
    /// many as members may come at once, after a learner's restart for example: their hellos are read behind their
    /// connections.
    package var unproven = 2048
    /// How long a connection may take for its first such message.
    package var proof: Duration = .seconds(30)
    /// How long the handshake may take.
    package var handshake: Duration = .seconds(10)
    /// Messages of a connection a second, and at once after a pause. An honest member sends a few, a worker that
    /// fetches 10 GB of weights a second 1300.
    package var messagesPerSecond = 2000.0
    package var messageBurst = 10_000.0
    /// Bytes of a connection that have arrived and are in no message yet that was taken: a message without an end.
    package var pendingBytes = 1 << 30
    /// The most such bytes of all connections together.
    package var totalPendingBytes = 4 << 30

    package init() {}
}

/// The connections of a learner's socket, and which of them have to go.
///
/// A state machine: libzmq's events, messages and the time go in, actions come out. It bounds what peers cost that
/// libzmq does not bound: half-open and silent connections, floods, and messages that never end.
package struct ConnectionTable: Sendable {
    /// What the socket's thread is to do.
    package enum Action: Sendable, Equatable {
        /// Shut the connection down.
        case cut(descriptor: Int32)
        /// Count it, and say so once an address and reason.
        case report(address: String, reason: String)
    }

    /// Who ended a connection.
    package enum End: Sendable, Equatable {
        /// The peer has closed it, or is gone.
        case peer
        /// libzmq has ended it, with the peer still there.
        case here
        case unknown
    }

    private struct Connection: Sendable {
        var serial: UInt64
        var address: String
        var since: Duration
        var bucket: TokenBucket
        /// Whether a message of it was taken.
        var isProven = false
        var isCut = false
        /// The log has said that something of it was refused: its end is no news.
        var isRefusalLogged = false
        /// Bytes of its messages that were taken, as they were on the wire.
        var takenBytes = 0
    }

    private let limits: ConnectionLimits
    private let frameLimit: Int
    private let isEncrypted: Bool
    private var connections: [Int32: Connection] = [:]
    /// Connections by age, those that are proven or gone included until they come up.
    private var unproven: Deque<(descriptor: Int32, serial: UInt64)> = []
    private var unprovenCount = 0
    private var serial: UInt64 = 0
    private var failure: HandshakeFailure?
    /// Connections whose key was refused, by host, until they end: the log has named them already.
    private var refused: [String: Int] = [:]
    /// The rate of messages whose connections have ended meanwhile.
    private var stray: TokenBucket

    package init(limits: ConnectionLimits, frameLimit: Int, isEncrypted: Bool, now: Duration) {
        self.limits = limits
        self.frameLimit = frameLimit
        self.isEncrypted = isEncrypted
        stray = Self.bucket(limits, now)
    }

    private static func bucket(_ limits: ConnectionLimits, _ now: Duration) -> TokenBucket {
        TokenBucket(rate: limits.messagesPerSecond, burst: limits.messageBurst, now: now)
    }

    /// Open connections, cut ones included until they have ended.
    package var count: Int { connections.count }

    // MARK: libzmq's events

    package mutating func accepted(_ descriptor: Int32, from address: String, now: Duration) -> [Action] {
        // Its end was not seen: the descriptor can only be free when it has come.
        forget(descriptor)
        serial += 1
        connections[descriptor] = Connection(
            serial: serial, address: address, since: now, bucket: Self.bucket(limits, now))
        unproven.append((descriptor, serial))
        unprovenCount += 1
        var actions: [Action] = []
        if connections.count > limits.connections {
            let advice = limits.advice.map { "; \($0)" } ?? ""
            actions += cut(descriptor, "\(limits.connections) connections are open already\(advice)")
        }
        while unprovenCount > limits.unproven, let oldest = oldestUnproven() {
            actions += cut(
                oldest, "it had said nothing that counts when \(limits.unproven) others had not either")
        }
        return actions
    }

    /// The key of a connection from this host was refused.
    package mutating func refused(host: String) {
        if refused.count < limits.connections { refused[host, default: 0] += 1 }
    }

    /// A handshake has failed: of the connection that ends next.
    package mutating func handshakeFailed(_ failure: HandshakeFailure) { self.failure = failure }

    package mutating func disconnected(_ descriptor: Int32, by end: End, now: Duration) -> [Action] {
        let failure = self.failure
        self.failure = nil
        guard let connection = connections[descriptor] else { return [] }
        forget(descriptor)
        // A member may leave when it likes; one that libzmq has sent away has sent what it does not take.
        guard !connection.isCut, end == .here || !connection.isProven && !connection.isRefusalLogged else { return [] }
        if !connection.isProven, failure == nil || failure == .unfinished, wasRefused(connection.address) { return [] }
        let late = now - connection.since >= limits.handshake * 0.9
        let reason =
            switch failure {
            case .mechanism: "one side uses keys and the other does not"
            case .key: "what it sent cannot be decrypted: it has another public key for this learner"
            case .malformed: "what it sent is not the protocol of ZeroMQ"
            case .unfinished where late:
                "it had not finished its handshake after \(limits.handshake.components.seconds) s"
            case .unfinished: "it broke off during the handshake" + (isEncrypted ? ", as one without keys does" : "")
            case nil where end == .peer: "it left before its first message"
            case nil where end == .here: noFrame
            case nil: "it left before its first message, or \(noFrame)"
            }
        return [.report(address: connection.address, reason: reason)]
    }

    /// Whether a connection from there has ended because its key was refused, which the log has said then.
    private mutating func wasRefused(_ address: String) -> Bool {
        // One that had gone before its address could be read may be any of them.
        let host = address == Self.unknownAddress ? refused.keys.min() : Self.host(address)
        guard let host, let count = refused[host] else { return false }
        refused[host] = count > 1 ? count - 1 : nil
        return true
    }

    /// Why libzmq ends a connection after its handshake, of which it tells nothing. Without keys it also ends one whose
    /// routing id another takes.
    private var noFrame: String {
        "it sent a frame above \(frameLimit) bytes, or what is no frame"
            + (isEncrypted ? "" : ", or another has taken its name")
    }

    /// What stands for the address of a connection that has gone before it could be read.
    package static let unknownAddress = "a short connection"

    /// An address without its port: a peer that comes again has another one.
    static func host(_ address: String) -> String {
        address.lastIndex(of: ":").map { String(address[..<$0]) } ?? address
    }

    // MARK: Messages

    /// Whether the connection is known; one may not be whose events are still to be read.
    func knows(_ descriptor: Int32) -> Bool { connections[descriptor] != nil }

    /// A message of so many bytes on the wire has come. False when it is one too many, and is to be dropped.
    package mutating func received(_ descriptor: Int32?, wireBytes: Int, now: Duration) -> Bool {
        guard let descriptor, connections[descriptor] != nil else { return stray.consume(now: now) }
        connections[descriptor]?.takenBytes += wireBytes
        return connections[descriptor]?.bucket.consume(now: now) ?? true
    }

    /// A message of the connection was refused, and the log has said so.
    package mutating func refusalWasLogged(_ descriptor: Int32?) {
        if let descriptor { connections[descriptor]?.isRefusalLogged = true }
    }

    /// A message of the connection was well-formed and permitted.
    package mutating func proved(_ descriptor: Int32?) {
        guard let descriptor, connections[descriptor]?.isProven == false else { return }
        connections[descriptor]?.isProven = true
        if connections[descriptor]?.isCut == false { unprovenCount -= 1 }
    }

    func address(_ descriptor: Int32?) -> String? { descriptor.flatMap { connections[$0]?.address } }

    // MARK: Time

    /// - Parameter bytesReceived: what has arrived over a connection, in all; nil where nobody knows.
    package mutating func tick(now: Duration, bytesReceived: (Int32) -> Int?) -> [Action] {
        var actions: [Action] = []
        while let oldest = oldestUnproven(), let connection = connections[oldest],
            now - connection.since >= limits.proof
        {
            actions += cut(oldest, "it has said nothing that counts for \(limits.proof.components.seconds) s")
        }
        var pending: [(descriptor: Int32, bytes: Int)] = []
        for (descriptor, connection) in connections where !connection.isCut {
            guard let received = bytesReceived(descriptor) else { continue }
            let bytes = max(0, received - connection.takenBytes)
            if bytes > limits.pendingBytes {
                actions += cut(descriptor, "\(bytes >> 20) MiB have come that are not the end of a message")
            } else {
                pending.append((descriptor, bytes))
            }
        }
        var total = pending.reduce(0) { $0 + $1.bytes }
        guard total > limits.totalPendingBytes else { return actions }
        for (descriptor, bytes) in pending.sorted(by: { $0.bytes > $1.bytes }) where total > limits.totalPendingBytes {
            total -= bytes
            actions += cut(
                descriptor, "\(bytes >> 20) MiB of it wait, the most of all, and all together have too many")
        }
        return actions
    }

    // MARK: Cutting

    private mutating func cut(_ descriptor: Int32, _ reason: String) -> [Action] {
        guard let connection = connections[descriptor], !connection.isCut else { return [] }
        connections[descriptor]?.isCut = true
        if !connection.isProven { unprovenCount -= 1 }
        return [
            .cut(descriptor: descriptor), .report(address: connection.address, reason: reason),
        ]
    }

    private mutating func forget(_ descriptor: Int32) {
        guard let connection = connections.removeValue(forKey: descriptor) else { return }
        if !connection.isProven, !connection.isCut { unprovenCount -= 1 }
    }

    /// The unproven connection that was accepted first.
    private mutating func oldestUnproven() -> Int32? {
        while let (descriptor, serial) = unproven.first {
            if let connection = connections[descriptor], connection.serial == serial, !connection.isProven,
                !connection.isCut
            {
                return descriptor
            }
            unproven.removeFirst()
        }
        return nil
    }
}

import CPlatform
import Foundation
import Logging
import Wire
import ZeroMQ

/// What stands between a learner's socket and its events: who may connect, what they may send, and how much.
///
/// Only the socket's thread uses it. It decides nothing itself: keys are the policy's, connections the table's.
final class LearnerGate {
    private let keys: LearnerKeys?
    private let authenticator: Authenticator?
    private let monitor: ConnectionMonitor
    private var table: ConnectionTable
    private var log: RefusalLog
    private let logger: Logger
    private let origin = ContinuousClock.now
    private var tickedAt: Duration = .zero
    private var failedToAccept = false
    /// A second descriptor of every connection: libzmq's may have been closed, and be another's, by the time its events
    /// are read.
    private var copies: [Int32: Int32] = [:]
    /// Connections and messages that were turned away, and messages beyond the rate.
    private(set) var refused: UInt64 = 0
    private(set) var throttled: UInt64 = 0

    /// Makes the gate, before the socket binds.
    init(_ socket: Socket, context: Context, keys: LearnerKeys?, options: TransportOptions, logger: Logger) throws {
        self.keys = keys
        self.logger = logger
        log = RefusalLog(logger: logger)
        authenticator = keys == nil ? nil : try Authenticator(context)
        monitor = try ConnectionMonitor(socket)
        pollItems = try ([monitor.socket] + (authenticator.map { [$0.socket] } ?? []))
            .map { .descriptor(try $0.descriptor, .readable) }
        var limits = options.connections
        let descriptors = Self.descriptorLimit()
        if limits.connections > descriptors / 3 {
            limits.advice =
                "a connection takes up to three of the \(descriptors) files that this process may open: for "
                + "\(limits.connections) start it after 'ulimit -n \(3 * limits.connections)'"
            limits.connections = descriptors / 3
        }
        limits.unproven = min(limits.unproven, max(1, limits.connections / 2))
        table = ConnectionTable(
            limits: limits, frameLimit: options.limits.frameBytes, isEncrypted: keys != nil, now: .zero)
    }

    /// Stops watching, after the socket's last message and before it closes.
    func closeMonitor() {
        monitor.close()
        for copy in copies.values { _ = Foundation.close(copy) }
        copies = [:]
    }

    /// Stops answering, after the socket has closed: while it listens, somebody must answer for it.
    func close() { authenticator?.close() }

    private var now: Duration { origin.duration(to: .now) }

    /// What to wait on, beside the socket. `serveConnections` reads all there is, so that the descriptors tell of what comes then.
    let pollItems: [PollItem]

    /// Answers those at the door, and sees to the connections.
    func serveConnections() throws {
        try authenticator?.answer { request in admits(request) }
        try readEvents()
        let now = now
        guard now - tickedAt >= .milliseconds(100) else { return }
        tickedAt = now
        perform(
            table.tick(now: now) { descriptor in
                let bytes = copies[descriptor].map(cplatform_bytes_received) ?? -1
                return bytes < 0 ? nil : Int(bytes)
            })
    }

    private func admits(_ request: Authenticator.Request) -> Bool {
        guard let keys else { return false }
        if keys.policy.admits(request.key) { return true }
        refused += 1
        // The host as the table writes it.
        let host = request.address.contains(":") ? "[\(request.address)]" : request.address
        table.refused(host: host.isEmpty ? "local" : host)
        log.record(request.address, as: request.key.text, "its key \(request.key) is in no list of clients")
        return false
    }

    // MARK: Messages

    /// The sender of a message, with the key of its connection; nil when the message is not to be looked at.
    /// - Parameter received: routing id, then content.
    func sender(of received: [SocketFrame], wireBytes: Int) throws -> PeerID? {
        let descriptor = Self.descriptor(of: received)
        if let descriptor, !table.knows(descriptor) { try readEvents() }
        let routingID = received[0].array
        let key = keys == nil ? nil : received.last?.user
        let peer = PeerID(bytes: routingID, key: key)
        guard table.received(descriptor, wireBytes: wireBytes, now: now) else {
            throttled += 1
            log.record(who(peer, descriptor), as: peer.description, "it sends more messages than any member needs")
            return nil
        }
        guard keys != nil else { return peer }
        // A name that a peer chose could be that of a connection that has just broken, and so get what is for that one.
        guard key != nil, routingID.count == 5, routingID[0] == 0 else {
            refuse(peer, descriptor, "it sets a routing id; with keys the learner assigns them")
            return nil
        }
        return peer
    }

    /// Why a message is not to be taken from this peer; nil when it is. To be called for well-formed messages.
    func refusal(of message: Message, from peer: PeerID, received: [SocketFrame]) -> String? {
        let descriptor = Self.descriptor(of: received)
        if let keys {
            let reason =
                peer.key.flatMap { CurveKey($0) }.map { keys.policy.refusal(of: message, from: $0) }
                ?? "its connection has no key"
            if let reason {
                refuse(peer, descriptor, reason)
                return reason
            }
        }
        table.proved(descriptor)
        return nil
    }

    private func refuse(_ peer: PeerID, _ descriptor: Int32?, _ reason: String) {
        refused += 1
        table.refusalWasLogged(descriptor)
        log.record(who(peer, descriptor), as: peer.key ?? peer.description, reason)
    }

    private func who(_ peer: PeerID, _ descriptor: Int32?) -> String {
        let key = peer.key.map { "key \($0)" } ?? peer.description
        return key + (table.address(descriptor).map { " at \($0)" } ?? "")
    }

    private static func descriptor(of received: [SocketFrame]) -> Int32? { received.last?.descriptor }

    // MARK: Connections

    private func readEvents() throws {
        while let event = try monitor.next() {
            switch event {
            case .accepted(let descriptor):
                // One that has gone already has no address any more; it counts all the same.
                let address = keep(descriptor) ?? ConnectionTable.unknownAddress
                perform(table.accepted(descriptor, from: address, now: now))
            case .disconnected(let descriptor):
                perform(table.disconnected(descriptor, by: release(descriptor), now: now))
            case .handshakeFailed(let failure): table.handshakeFailed(failure)
            case .acceptFailed(let code):
                refused += 1
                guard !failedToAccept else { continue }
                failedToAccept = true
                logger.warning(
                    "a connection could not be accepted: \(String(cString: strerror(code))); further times are only counted"
                )
            // The authenticator, which has the key and the address, has told of it.
            case .refused, .connected: continue
            }
        }
    }

    private func perform(_ actions: [ConnectionTable.Action]) {
        for action in actions {
            switch action {
            case .cut(let descriptor): if let copy = copies[descriptor] { _ = shutdown(copy, Int32(SHUT_RDWR)) }
            case .report(let address, let reason):
                refused += 1
                log.record(address, as: ConnectionTable.host(address), reason)
            }
        }
    }

    /// Keeps a copy of a connection's descriptor.
    /// - Returns: where its other end is; nil for what is no connection any more.
    private func keep(_ descriptor: Int32) -> String? {
        _ = release(descriptor)
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else {
            // Without descriptors there is no room for it.
            if errno == EMFILE { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
            return Self.address(of: descriptor)
        }
        guard let address = Self.address(of: copy) else {
            _ = Foundation.close(copy)
            return nil
        }
        copies[descriptor] = copy
        return address
    }

    /// Gives up a connection's copy, and tells who has ended it.
    private func release(_ descriptor: Int32) -> ConnectionTable.End {
        guard let copy = copies.removeValue(forKey: descriptor) else { return .unknown }
        defer { _ = Foundation.close(copy) }
        // One that was silent before has lost its network, and come again by another connection.
        let silence = cplatform_connection_silence(copy)
        return silence < 0 || silence > 10_000 ? .peer : .here
    }

    private static func address(of descriptor: Int32) -> String? {
        var text = [CChar](repeating: 0, count: 64)
        guard cplatform_peer_address(descriptor, &text, Int32(text.count)) == 0 else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Descriptors that this process may have open, after asking for as many as it may ask for.
    private static func descriptorLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = min(limit.rlim_max, 16384)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        return Int(clamping: limit.rlim_cur)
    }
}

import ZeroMQ

/// Which of its endpoints a member talks to: the first, and the next one when that does not answer.
///
/// A state machine: what the socket sees and the time go in. A learner that is away for a while is not a reason to leave
/// a relay that stands, whose connection stays; so one that is there has much longer than one that is not.
package struct EndpointChoice: Sendable {
    /// How long an endpoint may be without a connection.
    package static let absence: Duration = .seconds(3)
    /// How long one with a connection may leave everything unanswered, unless told otherwise. Learners answer every
    /// heartbeat.
    package static let silence: Duration = .seconds(30)

    private let count: Int
    private let silence: Duration
    package private(set) var index = 0
    private var isConnected = false
    /// Since when there is no connection; nil: since the first look.
    private var absentSince: Duration?
    /// When the first message was sent that nothing has come after.
    private var unansweredSince: Duration?

    package init(count: Int, silence: Duration = silence) {
        self.count = count
        self.silence = silence
    }

    package mutating func saw(_ event: ConnectionEvent, now: Duration) {
        switch event {
        case .connected: isConnected = true
        case .disconnected:
            if isConnected { absentSince = now }
            isConnected = false
        case .accepted, .handshakeFailed, .refused, .acceptFailed: break
        }
    }

    package mutating func sent(now: Duration) { if unansweredSince == nil { unansweredSince = now } }

    package mutating func heard() { unansweredSince = nil }

    /// The endpoint to go on with; nil: the present one.
    package mutating func next(now: Duration) -> Int? {
        guard count > 1 else { return nil }
        let since = absentSince ?? now
        absentSince = since
        let isAbsent = !isConnected && now - since >= Self.absence
        let isSilent = isConnected && unansweredSince.map { now - $0 >= silence } ?? false
        guard isAbsent || isSilent else { return nil }
        index = (index + 1) % count
        isConnected = false
        absentSince = now
        unansweredSince = nil
        return index
    }
}

/// Where a member's socket goes when its endpoint does not answer. For the socket's thread only.
struct MemberFallback {
    var choice: EndpointChoice
    /// Connects to the endpoint of this number.
    let connect: (Int) throws -> (Socket, MemberWatch)
}

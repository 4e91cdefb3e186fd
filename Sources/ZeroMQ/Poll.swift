internal import CZeroMQ

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What to wait for, and what happened.
public struct PollEvents: OptionSet, Sendable {
    public let rawValue: Int16
    public init(rawValue: Int16) { self.rawValue = rawValue }

    /// A message (or, for a descriptor, a byte) can be read.
    public static let readable = PollEvents(rawValue: Int16(ZMQ_POLLIN))
    /// A message can be sent.
    public static let writable = PollEvents(rawValue: Int16(ZMQ_POLLOUT))
}

/// One thing to wait on.
public enum PollItem {
    case socket(Socket, PollEvents)
    case descriptor(Int32, PollEvents)
}

/// Waits until an item is ready or `milliseconds` have passed (-1: for ever, 0: not at all), and returns what is ready
/// of each item.
public func poll(_ items: [PollItem], milliseconds: Int) throws(ZeroMQError) -> [PollEvents] {
    var raw = items.map { item in
        switch item {
        case .socket(let socket, let events):
            zmq_pollitem_t(socket: socket.withHandle { $0 }, fd: 0, events: events.rawValue, revents: 0)
        case .descriptor(let descriptor, let events):
            zmq_pollitem_t(socket: nil, fd: descriptor, events: events.rawValue, revents: 0)
        }
    }
    while zmq_poll(&raw, Int32(raw.count), milliseconds) < 0 {
        guard zmq_errno() == EINTR else { throw .last("poll") }
    }
    return raw.map { PollEvents(rawValue: $0.revents) }
}

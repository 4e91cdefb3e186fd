import Glibc
import Wording

/// What to wait for, and what happened.
package struct PollEvents: OptionSet, Sendable {
    package let rawValue: Int16
    package init(rawValue: Int16) { self.rawValue = rawValue }

    /// A message (or, for a descriptor, a byte) can be read.
    package static let readable = PollEvents(rawValue: Int16(POLLIN))
    /// A message can be sent.
    package static let writable = PollEvents(rawValue: Int16(POLLOUT))
}

/// One thing to wait on.
package enum PollItem {
    case socket(Socket, PollEvents)
    case descriptor(Int32, PollEvents)
}

/// Waits until an item is ready or `milliseconds` have passed (-1: for ever, 0: not at all), and returns what is ready
/// of each item.
///
/// This stands in place of libzmq's own function, which asks each socket twice a call, with system calls each time.
package func poll(_ items: [PollItem], milliseconds: Int) throws(ZeroMQError) -> [PollEvents] {
    let deadline = ContinuousClock.now + .milliseconds(max(0, milliseconds))
    var left = milliseconds
    var descriptors: [pollfd] = []
    descriptors.reserveCapacity(items.count)
    for item in items { descriptors.append(try item.pollDescriptor) }
    while true {
        // A socket's descriptor tells of changes only: what stands already is asked of the socket.
        var ready = [PollEvents](repeating: [], count: items.count)
        for (index, item) in items.enumerated() { ready[index] = try item.socketEvents }
        let isAnyReady = ready.contains { !$0.isEmpty }
        let count = systemPoll(&descriptors, nfds_t(descriptors.count), isAnyReady ? 0 : Int32(clamping: left))
        guard count >= 0 || errno == EINTR else { throw .last("poll") }
        if count > 0 {
            for (index, item) in items.enumerated() where descriptors[index].revents != 0 {
                switch item {
                case .socket: ready[index] = try item.socketEvents
                case .descriptor: ready[index] = PollEvents(rawValue: descriptors[index].revents)
                }
            }
        }
        if milliseconds >= 0 { left = max(0, (deadline - .now).wholeMilliseconds) }
        if left == 0 || ready.contains(where: { !$0.isEmpty }) { return ready }
    }
}

extension PollItem {
    /// What the kernel is to look at; nothing for an item of which nothing is wanted.
    fileprivate var pollDescriptor: pollfd {
        get throws(ZeroMQError) {
            switch self {
            case .socket(_, []): pollfd(fd: -1, events: 0, revents: 0)
            case .socket(let socket, _): pollfd(fd: try socket.descriptor, events: Int16(POLLIN), revents: 0)
            case .descriptor(let descriptor, let events):
                pollfd(fd: descriptor, events: events.rawValue, revents: 0)
            }
        }
    }

    /// The wanted events of a socket that are ready now; nothing for a descriptor.
    fileprivate var socketEvents: PollEvents {
        get throws(ZeroMQError) {
            guard case .socket(let socket, let wanted) = self, !wanted.isEmpty else { return [] }
            return try socket.events.intersection(wanted)
        }
    }
}

private func systemPoll(_ descriptors: UnsafeMutablePointer<pollfd>, _ count: nfds_t, _ milliseconds: Int32) -> Int32 {
    Glibc.poll(descriptors, count, milliseconds)
}

import Glibc
import Locking

/// One client's connection: a request comes in, an answer goes out, and it is closed.
final class Connection: Sendable {
    private let descriptor: Int32
    private let isStopped: Locked<Bool>

    /// Seconds in which a request has to come.
    private static let requestSeconds = 10.0
    /// Seconds in which an answer has to be taken, and in which something of a stream has.
    private static let answerSeconds = 120.0, stallSeconds = 20

    /// - Parameter isStopped: whether the server is ending.
    init(_ descriptor: Int32, isStopped: Locked<Bool>) {
        self.descriptor = descriptor
        self.isStopped = isStopped
        var patience = timeval(tv_sec: Self.stallSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Serves the connection and closes it.
    func serve(_ answer: (RequestHead) -> Response) {
        defer {
            shutdown(descriptor, Int32(SHUT_WR))
            close(descriptor)
        }
        let request: RequestHead
        do {
            guard let read = try readHead() else { return }
            request = read
        } catch {
            _ = write(.plain(error.status, error.message), isHead: false)
            return
        }
        guard request.method == "GET" || request.method == "HEAD" else {
            _ = write(.plain(405, "this server only shows"), isHead: false)
            return
        }
        _ = write(answer(request), isHead: request.method == "HEAD")
    }

    /// Says that there is no room, without waiting for a request.
    func turnAway() {
        _ = write(.plain(503, "too many connections; try again when some of them have ended"), isHead: false)
        close(descriptor)
    }

    /// - Returns: nil when the client went away, or was too slow.
    private func readHead() throws(RequestError) -> RequestHead? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        let deadline = ContinuousClock.now + .seconds(Self.requestSeconds)
        while true {
            if let end = RequestHead.end(in: bytes) { return try RequestHead(bytes[..<end]) }
            guard bytes.count <= RequestHead.limit else {
                throw RequestError(431, "the request's head is too long")
            }
            let left = deadline - .now
            guard left > .zero else { return nil }
            var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&poller, 1, Int32(left.components.seconds * 1000 + 1000)) > 0 else {
                if errno == EINTR { continue }
                return nil
            }
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
        }
    }

    private func write(_ response: Response, isHead: Bool) -> Bool {
        guard send(Array(response.head.utf8)), !isHead else { return false }
        switch response.body {
        case .bytes(let bytes): return send(bytes)
        case .stream(let body):
            body(StreamWriter(self))
            return true
        }
    }

    /// Whether the client is still there, and the server goes on.
    fileprivate var isOpen: Bool {
        if isStopped.withLock({ $0 }) { return false }
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT))
        // None at all is the end; what a client says behind its request is nobody's concern.
        return count > 0 || count < 0 && (errno == EAGAIN || errno == EINTR)
    }

    /// Sends all bytes. False where the client has gone, or takes nothing.
    fileprivate func send(_ bytes: [UInt8]) -> Bool {
        let deadline = ContinuousClock.now + .seconds(Self.answerSeconds)
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.send(descriptor, buffer.baseAddress! + done, buffer.count - done, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0, ContinuousClock.now < deadline else { return false }
            done += count
        }
        return true
    }
}

/// Writes an answer that goes on.
package struct StreamWriter: Sendable {
    private let connection: Connection

    fileprivate init(_ connection: Connection) { self.connection = connection }

    /// Whether there is still somebody to write to.
    package var isOpen: Bool { connection.isOpen }

    /// - Returns: whether it was taken.
    package func send(_ text: String) -> Bool { connection.send(Array(text.utf8)) }
}

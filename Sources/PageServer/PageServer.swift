import Foundation
import Glibc
import Locking
import Wording

/// The pages cannot be served.
package struct PageServerError: MessageError, Equatable {
    package let message: String
    /// Whether another program has the port.
    let isPortTaken: Bool

    package init(message: String, isPortTaken: Bool = false) {
        self.message = message
        self.isPortTaken = isPortTaken
    }
}

/// A server of pages for a browser or two: GET alone, one request a connection, a thread for each, all of it bounded.
///
/// It is ours because of what another would cost: a clean build of Hummingbird and what it needs had taken 142 seconds
/// of a core, more than a minute on two, and was not done; all of this program takes five minutes. Nothing of TLS,
/// HTTP/2, bodies or kept connections is needed here. What it reads of strangers is ``RequestHead``, which is fuzzed.
package final class PageServer: Sendable {
    private let listener: Int32
    private let access: AccessRule
    private let answer: @Sendable (RequestHead) -> Response
    private let isStopped = Locked(false)
    private let open = Locked(0)
    /// Where it listens.
    package let port: UInt16

    private let mostConnections: Int

    /// Listens; nobody is answered before ``start()``.
    /// - Parameters:
    ///   - host: address or name to listen at.
    ///   - port: 0: a free one.
    ///   - others: ports that are tried in this order where that one is in use.
    ///   - access: who is answered.
    ///   - connections: most of them at once; pages that are open hold one each.
    ///   - answer: called on threads of its own, several at once.
    package init(
        host: String, port: UInt16, or others: some Sequence<UInt16> = [], access: AccessRule.Audience,
        connections: Int = 48, answer: @escaping @Sendable (RequestHead) -> Response
    ) throws(PageServerError) {
        var opened = Self.listen(host, port)
        for other in others {
            guard case .failure(let error) = opened, error.isPortTaken else { break }
            opened = Self.listen(host, other)
        }
        listener = try opened.get()
        self.port = Self.port(of: listener)
        self.access = AccessRule(access, port: self.port)
        self.answer = answer
        mostConnections = connections
    }

    deinit { close(listener) }

    /// Takes connections until ``stop()``.
    package func start() {
        let thread = Thread { [self] in
            while true {
                let descriptor = accept(listener, nil, nil)
                let code = errno
                if isStopped.withLock({ $0 }) {
                    if descriptor >= 0 { close(descriptor) }
                    return
                }
                guard descriptor >= 0 else {
                    // Descriptors or memory may be back in a moment.
                    if code != EINTR, code != ECONNABORTED { usleep(100_000) }
                    continue
                }
                _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
                take(Connection(descriptor, isStopped: isStopped))
            }
        }
        thread.name = "pages"
        thread.start()
    }

    private func take(_ connection: Connection) {
        let isRoom = open.withLock { open in
            guard open < mostConnections else { return false }
            open += 1
            return true
        }
        guard isRoom else { return connection.turnAway() }
        let thread = Thread { [self] in
            connection.serve { access.refusal(of: $0) ?? answer($0) }
            open.withLock { $0 -= 1 }
        }
        thread.name = "page"
        thread.start()
    }

    /// Takes no more connections, and lets streams end; returns when they have, or after `seconds`.
    package func stop(within seconds: Double = 2) {
        isStopped.withLock { $0 = true }
        shutdown(listener, Int32(SHUT_RDWR))
        let deadline = ContinuousClock.now + .seconds(seconds)
        while open.withLock({ $0 > 0 }), ContinuousClock.now < deadline { usleep(10_000) }
    }

    // MARK: Sockets

    private static func listen(_ host: String, _ port: UInt16) -> Result<Int32, PageServerError> {
        func failure(_ reason: String, isPortTaken: Bool = false) -> Result<Int32, PageServerError> {
            .failure(
                PageServerError(
                    message: "cannot listen at \(host), port \(port): \(reason)", isPortTaken: isPortTaken))
        }
        var hints = addrinfo(), found: UnsafeMutablePointer<addrinfo>?
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        let code = getaddrinfo(host, String(port), &hints, &found)
        guard code == 0, let address = found else { return failure(String(cString: gai_strerror(code))) }
        defer { freeaddrinfo(found) }
        let descriptor = socket(
            address.pointee.ai_family, address.pointee.ai_socktype | Int32(SOCK_CLOEXEC.rawValue),
            address.pointee.ai_protocol)
        guard descriptor >= 0 else { return failure(String(cString: strerror(errno))) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0,
            Glibc.listen(descriptor, 64) == 0
        else {
            let code = errno
            close(descriptor)
            return failure(String(cString: strerror(code)), isPortTaken: code == EADDRINUSE)
        }
        return .success(descriptor)
    }

    private static func port(of descriptor: Int32) -> UInt16 {
        var storage = sockaddr_storage(), length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard code == 0 else { return 0 }
        // Both families have the port in the same place.
        return withUnsafePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { UInt16(bigEndian: $0.pointee.sin_port) }
        }
    }

    /// Whether an address or name is this machine's own and nobody else's.
    package static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || host == "::1" || AccessRule.isThisMachine(host) && !host.contains(":")
    }
}

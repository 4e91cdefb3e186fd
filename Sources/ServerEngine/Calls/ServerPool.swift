import Randomness
import Wording

/// Several servers of one model: which is asked next, how much each has, and which are left out for a while. Time is a
/// parameter.
package struct ServerPool: Sendable {
    /// What to do with a request.
    package enum Choice: Sendable, Equatable {
        /// Give it to this server.
        case use(Int)
        /// Ask again at this time, or when a request ends.
        case wait(until: Duration?)
    }

    /// One server.
    package struct Server: Sendable {
        package let url: String
        package fileprivate(set) var requests = 0
        package fileprivate(set) var tokens = 0
        fileprivate(set) var window: RequestWindow
        /// Failures in a row.
        package fileprivate(set) var failures = 0
        /// It is given nothing before this time.
        package fileprivate(set) var leftOutUntil: Duration = .zero
        /// Why, and since when; nil while all is well.
        package fileprivate(set) var trouble: (reason: String, since: Duration)?
        /// Whether it has shown what it holds since it was last out of reach.
        package fileprivate(set) var isVerified = false
    }

    package private(set) var servers: [Server]
    /// Tokens that one server is given at once; a longer sequence goes alone.
    private let mostTokens: Int
    private var random: SplitMix64

    /// The first wait after a failure; doubled with each in a row.
    private static let firstBackoff = Duration.milliseconds(500)
    private static let longestBackoff = Duration.seconds(60)
    /// The longest pause of a server where nobody answers: to ask costs nobody anything, and one that was started again
    /// is soon found.
    private static let longestBackoffOfSilence = Duration.seconds(10)

    /// - Parameters:
    ///   - firstRequests: that a server is given at once until its latency is known.
    ///   - mostRequests: that one server is given at once.
    ///   - mostTokens: likewise.
    ///   - seed: of the jitter.
    package init(urls: [String], firstRequests: Int, mostRequests: Int, mostTokens: Int, seed: UInt64) {
        servers = urls.map { Server(url: $0, window: RequestWindow(first: firstRequests, most: mostRequests)) }
        self.mostTokens = mostTokens
        random = SplitMix64(seed: seed, stream: 0)
    }

    /// The server with the smallest load of those that have room and are not left out.
    package func choice(tokens: Int, now: Duration) -> Choice {
        let ready = servers.indices.filter { servers[$0].leftOutUntil <= now }
        let free = ready.filter { hasRoom(servers[$0], for: tokens) }
        if let best = free.min(by: { load(servers[$0]) < load(servers[$1]) }) { return .use(best) }
        return .wait(until: servers.map(\.leftOutUntil).filter { $0 > now }.min())
    }

    private func hasRoom(_ server: Server, for tokens: Int) -> Bool {
        if server.requests == 0 { return true }
        // A server that has failed, or has not shown what it holds, is tried with one request first.
        if server.failures > 0 || !server.isVerified { return false }
        return server.requests < server.window.limit && tokens <= mostTokens - server.tokens
    }

    private func load(_ server: Server) -> Double { Double(server.requests) / Double(server.window.limit) }

    package mutating func begin(_ index: Int, tokens: Int) {
        servers[index].requests += 1
        servers[index].tokens += tokens
    }

    /// A request is no longer under way, whatever became of it.
    private mutating func end(_ index: Int, tokens: Int) {
        servers[index].requests -= 1
        servers[index].tokens -= tokens
    }

    package mutating func succeeded(_ index: Int, tokens: Int, latency: Duration) {
        let underWay = servers[index].requests
        end(index, tokens: tokens)
        servers[index].window.answered(after: latency, tokens: tokens, underWay: underWay)
        servers[index].failures = 0
        servers[index].trouble = nil
    }

    /// - Parameters:
    ///   - isGone: whether what comes back at this address may be another server.
    ///   - isSilent: whether nobody has answered anything.
    package mutating func failed(
        _ index: Int, tokens: Int, reason: String, isGone: Bool, isSilent: Bool = false, now: Duration
    ) {
        end(index, tokens: tokens)
        // Requests that were under way together fail together: that is one failure.
        guard servers[index].leftOutUntil <= now else { return }
        var backoff = Self.firstBackoff
        let longest = isSilent ? Self.longestBackoffOfSilence : Self.longestBackoff
        for _ in 0..<min(servers[index].failures, 10) where backoff < longest { backoff = backoff * 2 }
        servers[index].failures += 1
        // Members that lost a server together do not come back together.
        servers[index].leftOutUntil = now + min(backoff, longest) * (0.5 + 0.5 * nextFraction())
        servers[index].window.failed()
        servers[index].trouble = (reason, servers[index].trouble?.since ?? now)
        if isGone { servers[index].isVerified = false }
    }

    /// A request was given up by who asked: the server is not to blame.
    package mutating func cancelled(_ index: Int, tokens: Int) { end(index, tokens: tokens) }

    /// Nobody knows whether it is still the server that has shown what it holds.
    package mutating func doubted(_ index: Int) { servers[index].isVerified = false }

    package mutating func verified(_ index: Int) { servers[index].isVerified = true }

    /// The servers that do not work, and why, for a person; nil while all do.
    package func trouble(now: Duration) -> String? {
        let troubles = servers.compactMap { server in
            server.trouble.map { "\(server.url): \($0.reason), for \(Int((now - $0.since).seconds)) s" }
        }
        return troubles.isEmpty ? nil : troubles.joined(separator: "; ")
    }

    /// 0 up to 1.
    private mutating func nextFraction() -> Double { (Double(random.uniform()) + 1) / 2 }
}

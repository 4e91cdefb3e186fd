import Wording

/// How many requests one server is given at once: more while its latency stays what it was, fewer when it rises.
///
/// The gradient of latencies, as in Netflix's concurrency-limits: the window is multiplied by how much longer a token
/// takes now than it took on the whole, and the root of it is added, for the queue that keeps a server busy.
package struct RequestWindow: Sendable, Equatable {
    /// Requests at once; its whole part counts.
    package private(set) var size: Double
    private let most: Double
    /// Seconds a token, smoothed over the last few and over many answers; 0: none yet.
    private var recent = 0.0
    private var usual = 0.0

    /// A batch costs a server a little more a token than a single request; only what is above this is a queue.
    private static let tolerance = 2.0

    /// - Parameters:
    ///   - first: its size until something is known of the server.
    ///   - most: at least 1.
    package init(first: Int, most: Int) {
        self.most = Double(max(1, most))
        size = min(Double(max(1, first)), self.most)
    }

    package var limit: Int { max(1, Int(size)) }

    /// An answer has come.
    /// - Parameters:
    ///   - tokens: that were read or written for it, at least 1.
    ///   - underWay: requests that this server had, this one included.
    package mutating func answered(after latency: Duration, tokens: Int, underWay: Int) {
        let sample = max(latency.seconds, 1e-6) / Double(max(1, tokens))
        recent = recent == 0 ? sample : recent * 0.7 + sample * 0.3
        usual = usual == 0 ? sample : usual * 0.99 + sample * 0.01
        // When it was not used up, the window says nothing of the server.
        guard Double(underWay) >= size / 2 else { return }
        let gradient = min(1, max(0.5, Self.tolerance * usual / recent))
        let goal = size * gradient + size.squareRoot()
        size = min(most, max(1, size * 0.8 + goal * 0.2))
    }

    /// A request has failed or taken too long.
    package mutating func failed() { size = max(1, size / 2) }
}

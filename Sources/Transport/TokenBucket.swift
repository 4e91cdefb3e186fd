import Wording

/// Lets so many things a second pass, and a burst now and then.
struct TokenBucket: Sendable {
    private let rate: Double
    private let burst: Double
    private var tokens: Double
    private var filledAt: Duration

    /// - Parameters:
    ///   - rate: what may pass a second.
    ///   - burst: what may pass at once after a pause.
    init(rate: Double, burst: Double, now: Duration) {
        self.rate = rate
        self.burst = burst
        tokens = burst
        filledAt = now
    }

    /// Lets one more pass, unless that is one too many.
    mutating func consume(now: Duration) -> Bool {
        tokens = min(burst, tokens + max(0, (now - filledAt).seconds) * rate)
        filledAt = max(filledAt, now)
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}

import Wording

/// Tokens a second over the last seconds of work, and in total.
struct TokenRate: Sendable {
    private(set) var total: UInt64 = 0
    private var windowStart: Duration = .zero
    private var windowTokens: UInt64 = 0
    private var last = 0.0

    mutating func add(_ tokens: Int) {
        total += UInt64(tokens)
        windowTokens += UInt64(tokens)
    }

    /// The rate of the last whole window of 5 s.
    mutating func perSecond(now: Duration) -> Double {
        let passed = now - windowStart
        if passed >= .seconds(5) {
            last = Double(windowTokens) / passed.seconds
            windowStart = now
            windowTokens = 0
        }
        return last
    }
}

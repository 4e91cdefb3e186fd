import ServerEngine
import Testing

@Suite struct ServerPoolTests {
    private func pool(_ count: Int, requests: Int = 16, tokens: Int = 1000) -> ServerPool {
        var pool = ServerPool(
            urls: (0..<count).map { "http://s\($0)" }, firstRequests: 8, mostRequests: requests, mostTokens: tokens,
            seed: 1)
        for index in 0..<count { pool.verified(index) }
        return pool
    }

    @Test func givesEachAsMuchAsTheOthers() {
        var pool = pool(3), counts = [0, 0, 0]
        for _ in 0..<15 {
            guard case .use(let index) = pool.choice(tokens: 10, now: .zero) else { break }
            pool.begin(index, tokens: 10)
            counts[index] += 1
        }
        #expect(counts == [5, 5, 5])
    }

    @Test func boundsRequestsAndTokens() {
        var pool = pool(1)
        for _ in 0..<8 {
            #expect(pool.choice(tokens: 10, now: .zero) == .use(0))
            pool.begin(0, tokens: 10)
        }
        #expect(pool.choice(tokens: 10, now: .zero) == .wait(until: nil))
        var long = self.pool(1)
        long.begin(0, tokens: 600)
        #expect(long.choice(tokens: 500, now: .zero) == .wait(until: nil))
        #expect(long.choice(tokens: 400, now: .zero) == .use(0))
        long.cancelled(0, tokens: 600)
        // Longer than everything together may be, it goes alone.
        #expect(long.choice(tokens: 5000, now: .zero) == .use(0))
    }

    /// One that is started again is asked within ten seconds, however long it was away.
    @Test func leavesASilentServerOutForTenSecondsAtMost() {
        var pool = pool(1), now = Duration.zero, longest = Duration.zero
        for _ in 0..<20 {
            pool.begin(0, tokens: 1)
            pool.failed(0, tokens: 1, reason: "refused", isGone: true, isSilent: true, now: now)
            longest = max(longest, pool.servers[0].leftOutUntil - now)
            now = pool.servers[0].leftOutUntil
        }
        #expect((.seconds(5) ... .seconds(10)).contains(longest))
    }

    @Test func leavesAFailingServerOutForLongerAndLonger() {
        var pool = pool(2), now = Duration.zero, waits: [Double] = []
        for _ in 0..<12 {
            pool.begin(0, tokens: 1)
            pool.failed(0, tokens: 1, reason: "no", isGone: true, now: now)
            // The other one takes everything meanwhile.
            #expect(pool.choice(tokens: 1, now: now) == .use(1))
            let until = pool.servers[0].leftOutUntil
            waits.append(
                Double((until - now).components.seconds) + Double((until - now).components.attoseconds) * 1e-18)
            now = until
        }
        for (attempt, wait) in waits.enumerated() {
            var whole = 0.5
            for _ in 0..<attempt { whole = min(60, whole * 2) }
            #expect((whole / 2...whole).contains(wait), "\(attempt): \(wait)")
        }
        #expect(Set(waits.suffix(4)).count > 1, "all wait equally long")
        #expect(pool.trouble(now: now)?.contains("http://s0: no, for ") == true)
        // It is tried with one request, and then has as many as before.
        #expect(!pool.servers[0].isVerified)
        pool.begin(0, tokens: 1)
        pool.begin(1, tokens: 1)
        #expect(pool.choice(tokens: 1, now: now) == .use(1))
        pool.verified(0)
        pool.succeeded(0, tokens: 1, latency: .seconds(1))
        #expect(pool.trouble(now: now) == nil)
        #expect(pool.choice(tokens: 1, now: now) == .use(0))
    }

    @Test func whatFailsTogetherIsOneFailure() {
        var pool = pool(1)
        for _ in 0..<8 { pool.begin(0, tokens: 1) }
        for _ in 0..<8 { pool.failed(0, tokens: 1, reason: "no", isGone: true, now: .seconds(1)) }
        #expect(pool.servers[0].failures == 1)
        #expect(pool.servers[0].requests == 0)
        guard case .wait(let until?) = pool.choice(tokens: 1, now: .seconds(1)) else {
            Issue.record("it is not left out")
            return
        }
        #expect(until > .seconds(1) && until <= .milliseconds(1500))
    }

    @Test func theWindowFollowsTheLatency() {
        var window = RequestWindow(first: 8, most: 64)
        for _ in 0..<200 { window.answered(after: .milliseconds(100), tokens: 10, underWay: window.limit) }
        #expect(window.limit == 64)
        // Ten times as slow: fewer at once, until that is what is usual.
        for _ in 0..<12 { window.answered(after: .seconds(1), tokens: 10, underWay: window.limit) }
        #expect(window.limit < 50)
        let before = window.limit
        window.failed()
        #expect(window.limit == before / 2)
        // A longer sequence may take longer.
        var even = RequestWindow(first: 8, most: 64)
        for round in 0..<200 {
            let tokens = round % 2 == 0 ? 10 : 1000
            even.answered(after: .milliseconds(tokens), tokens: tokens, underWay: even.limit)
        }
        #expect(even.limit == 64)
        // What was not used up says nothing.
        var idle = RequestWindow(first: 8, most: 64)
        for _ in 0..<50 { idle.answered(after: .milliseconds(1), tokens: 1, underWay: 1) }
        #expect(idle.limit == 8)
    }
}

import Pipeline
import Testing

@Suite struct TimeLimitTests {
    @Test(arguments: [
        ("90m", 5400.0), ("3600s", 3600), ("3600", 3600), ("1.5h", 5400), ("2d", 172_800), ("1:30:00", 5400),
        ("30:00", 1800), ("100:00:00", 360_000), ("0.5s", 0.5),
    ])
    func aTimeIsRead(text: String, seconds: Double) {
        #expect(TimeLimit(text)?.limit == .milliseconds(Int(seconds * 1000)))
    }

    @Test(arguments: [
        "", "0", "0s", "m", "-5m", "5 m", "1:2:3:4", "1:60", "1::2", ":30", "nan", "inf", "1e3", "0x10",
        "99999999999999s",
        "5w", "1.2.3s", "+5",
    ])
    func anythingElseIsNone(text: String) { #expect(TimeLimit(text) == nil) }

    @Test func roomIsLeftForTheLongestStepAndCheckpoint() {
        var limit = TimeLimit(.seconds(3600))
        #expect(limit.stopAt == .seconds(3600 - 45 - 10), "nothing is known yet")
        limit.trained(in: .seconds(20))
        limit.saved(in: .seconds(10))
        #expect(limit.stopAt == .seconds(3600 - 45 - 10))
        limit.trained(in: .seconds(5))
        limit.saved(in: .seconds(2))
        #expect(limit.stopAt == .seconds(3600 - 45 - 10), "the longest count")
        limit.trained(in: .seconds(4000))
        #expect(limit.stopAt == .zero)
    }

    @Test func roomIsLeftForTheLastCopy() {
        var limit = TimeLimit(.seconds(3600))
        limit.leave(forCopy: .seconds(30))
        #expect(limit.stopAt == .seconds(3600 - 45 - 30 - 10))
        #expect(limit.left(after: .seconds(3540)) == .seconds(50))
        #expect(limit.left(after: .seconds(3600)) == .zero)
        var short = TimeLimit(.seconds(40))
        short.leave(forCopy: .seconds(30))
        #expect(short.stopAt == .seconds(40 - 15 - 10 - 4), "a quarter at most")
    }
}

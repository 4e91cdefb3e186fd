import Pipeline
import Testing

@Suite struct DifferencePolicyTests {
    @Test func whatIsNotWorthItIsNotTriedForAWhile() {
        var policy = DifferencePolicy()
        #expect(policy.attempts(1))
        let half = policy.isWorthIt(version: 1, byteCount: 500, of: 1000)
        #expect(half && policy.attempts(2))
        let more = policy.isWorthIt(version: 2, byteCount: 501, of: 1000)
        let refused = (1...18).filter { !policy.attempts($0) }
        #expect(!more && refused == Array(1...17))
    }

    @Test func everySoManyVersionsASnapshotIsSent() {
        let policy = DifferencePolicy()
        #expect((1...3000).filter { !policy.attempts($0) } == [1000, 2000, 3000])
    }
}

import Pipeline
import Testing

@Suite struct MismatchWatchTests {
    /// What is small is not told, and what was told only when it has doubled.
    @Test func onlyNewsIsTold() {
        var watch = MismatchWatch(), bound = MismatchWatch.bound
        #expect(watch.warning(step: 1, mean: nil, largest: nil) == nil)
        #expect(watch.warning(step: 2, mean: bound, largest: 9) == nil)
        let warning = watch.warning(step: 3, mean: 0.06, largest: 1.23456)
        #expect(warning?.hasPrefix("step 3: sampler and trainer differ by 0.06 nats a token, up to 1.2346, ") == true)
        bound = 0.12
        #expect(watch.warning(step: 4, mean: bound, largest: nil) == nil)
        #expect(watch.warning(step: 5, mean: bound + 0.01, largest: nil) != nil)
        #expect(watch.warning(step: 6, mean: bound + 0.01, largest: nil) == nil)
    }
}

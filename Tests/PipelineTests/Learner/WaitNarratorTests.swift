import Distillation
import Exchange
import Pipeline
import TestSupport
import Testing
import Wire

/// What a learner says of its waiting, without a learner and without a clock.
@Suite struct WaitNarratorTests {
    private static let line = "waiting for a rollout worker: none is connected"

    private var narrator = WaitNarrator(patience: .seconds(5), longStep: .seconds(25))

    /// What a run of an exchange without members waits for.
    private func missing() -> Exchange.Wait? {
        let options = ExchangeOptions(
            runID: "test", lease: .seconds(2), heartbeat: .seconds(1), tokenizerFingerprint: nil)
        return Exchange(plan: plan(heldout: 0), options: options, epoch: 1).waitingFor(now: .zero)
    }

    private mutating func line(_ seconds: Int, isSaving: Bool = false) -> WaitNarrator.Line? {
        let missing = missing()
        return narrator.line(now: .seconds(seconds), isSaving: isSaving) { missing }
    }

    @Test mutating func whatIsMissingIsSaidAfterAWhileAndNotAllTheTime() {
        #expect(line(5) == nil)
        #expect(line(6) == .init(log: "\(Self.line); nothing has come for 6 s", activity: Self.line))
        #expect(line(7) == nil && line(36) == nil, "it is still the same")
        #expect(line(37)?.log == "\(Self.line); nothing has come for 37 s")
        #expect(narrator.waitingSeconds(now: .seconds(40)) == 40)
    }

    @Test mutating func progressBeginsAnew() {
        #expect(line(6) != nil)
        let progress = BatchProgress(total: 4, missing: 3)
        let isNew = narrator.hasProgressed(to: progress, now: .seconds(8))
        let isNewAgain = narrator.hasProgressed(to: progress, now: .seconds(9))
        #expect(isNew && !isNewAgain)
        #expect(line(13) == nil)
        #expect(line(14)?.log == "\(Self.line); nothing has come for 6 s")
    }

    @Test mutating func nothingIsSaidWhenNothingIsMissing() {
        #expect(narrator.line(now: .seconds(60), isSaving: false) { nil } == nil)
    }

    /// The learner's own work counts as progress, and is told of when it takes longer than it should.
    @Test mutating func longWorkIsTold() {
        narrator.begin("reading a", now: .seconds(10))
        #expect(line(35) == nil)
        #expect(line(36) == .init(log: "reading a for 26 s", activity: "reading a for 26 s"))
        #expect(line(60) == nil && line(67)?.log == "reading a for 57 s")
        narrator.end(now: .seconds(68))
        #expect(narrator.busy(isSaving: false) == nil)
        #expect(line(70) == nil, "nothing was awaited meanwhile")
    }

    /// A training step is told of when it takes longer than the longest so far and the allowance together.
    @Test mutating func aStepIsComparedWithTheLongestBefore() throws {
        narrator.begin("training step 1", isTraining: true, now: .zero)
        #expect(line(26)?.log == "training step 1 for 26 s")
        narrator.end(now: .seconds(40))
        narrator.begin("training step 2", isTraining: true, now: .seconds(40))
        #expect(line(105) == nil)
        #expect(line(106, isSaving: true)?.log == "training step 2, while a checkpoint is written, for 66 s")
        let busy = try #require(narrator.busy(isSaving: true))
        #expect(busy.text == "training step 2, while a checkpoint is written," && busy.since == .seconds(40))
        narrator.end(now: .seconds(107))
        narrator.begin("saving a checkpoint", now: .seconds(107))
        #expect(line(133, isSaving: true)?.log == "saving a checkpoint for 26 s", "a save is no step")
    }
}

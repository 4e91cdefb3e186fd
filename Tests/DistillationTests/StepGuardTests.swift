import Distillation
import Testing

@Suite struct StepGuardTests {
    private func scored(_ group: UInt64, behaviour: [Float], teacher: [Float], _ reason: FinishReason = .length)
        -> ScoredTrajectory
    {
        let count = behaviour.count
        return ScoredTrajectory(
            trajectory: Trajectory(
                id: RolloutID(group: group, sample: 0), kind: .train, teacher: "t", promptIDs: [1],
                responseIDs: [Int32](repeating: 2, count: count), behaviourLogprobs: behaviour,
                policyVersions: PolicyVersions(repeating: 0, count: count), finishReason: reason, temperature: 1),
            teacherLogprobs: teacher)
    }

    @Test func goodBatchesPass() {
        let batch = [
            scored(0, behaviour: [-1, -1], teacher: [-2, -2]), scored(1, behaviour: [-1], teacher: [-1], .stop),
        ]
        #expect(StepGuard().flaw(in: batch) == nil)
        #expect(StepGuard(klLimit: 0.7, emptyLimit: 0.5).flaw(in: batch) == nil)
        #expect(StepGuard().flaw(in: []) == nil)
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity]) func numbersMustBeNumbers(bad: Float) {
        let good = scored(0, behaviour: [-1], teacher: [-1])
        let ungraded = scored(1, behaviour: [-1, -1], teacher: [-1, bad])
        let unsampled = scored(2, behaviour: [bad], teacher: [-1])
        let flaw = StepGuard().flaw(in: [good, ungraded])
        #expect(flaw?.kind == .notFinite && flaw?.offenders.map(\.trajectory.id.group) == [1])
        #expect(flaw?.blamesWeights == false)
        let worse = StepGuard().flaw(in: [good, ungraded, unsampled])
        #expect(worse?.kind == .brokenStudent && worse?.offenders.map(\.trajectory.id.group) == [2])
        #expect(worse?.blamesWeights == true)
        #expect(StepGuard.flaw(loss: 1, gradNorm: Double(bad), batch: [good])?.kind == .notFinite)
        #expect(StepGuard.flaw(loss: Double(bad), gradNorm: 1, batch: [good])?.kind == .notFinite)
        #expect(StepGuard.flaw(loss: 1, gradNorm: 1, batch: [good]) == nil)
    }

    /// A teacher that answers nothing, or without numbers, does not make the student's weights suspect.
    @Test func aTeachersResponsesBlameTheTeacher() {
        var empty = scored(0, behaviour: [-1], teacher: [], .stop), broken = scored(1, behaviour: [.nan], teacher: [])
        (empty.sampler, broken.sampler) = ("big", "big")
        let silent = StepGuard(emptyLimit: 0.5).flaw(in: [empty])
        #expect(silent?.kind == .silentTeacher && silent?.blamesWeights == false)
        #expect(silent?.text == "1 of 1 responses are empty: teacher 'big' answers nothing")
        let flaw = StepGuard().flaw(in: [empty, broken])
        #expect(flaw?.kind == .notFinite && flaw?.blamesWeights == false)
        #expect(flaw?.text.hasPrefix("teacher 'big''s own log-probabilities of 1 of 2 trajectories") == true)
    }

    @Test func divergenceHasALimit() {
        // 3 tokens with k of 1, 1 and 4: 2 nats a token.
        let batch = [scored(0, behaviour: [-1, -1], teacher: [-2, -2]), scored(1, behaviour: [-1], teacher: [-5])]
        #expect(StepGuard(klLimit: 2).flaw(in: batch) == nil)
        let flaw = StepGuard(klLimit: 1.99).flaw(in: batch)
        #expect(flaw?.kind == .divergence && flaw?.blamesWeights == true)
        #expect(flaw?.offenders.map(\.trajectory.id.group) == [1, 0], "the worst first")
        #expect(flaw?.text.contains("2.0 nats a token") == true)
    }

    @Test func silenceIsACollapse() {
        let empty = [scored(0, behaviour: [], teacher: [], .stop), scored(1, behaviour: [-1], teacher: [-1], .stop)]
        let full = scored(2, behaviour: [-1], teacher: [-1], .length)
        #expect(StepGuard(emptyLimit: 0.5).flaw(in: empty + [full])?.kind == .collapse)
        #expect(StepGuard(emptyLimit: 0.7).flaw(in: empty + [full]) == nil)
        #expect(StepGuard(emptyLimit: 1).flaw(in: empty) == nil)
    }

    @Test func offendersAreBounded() {
        let batch = (0..<100).map { scored($0, behaviour: [.nan], teacher: [-1]) }
        #expect(StepGuard().flaw(in: batch)?.offenders.count == 16)
    }

    @Test func reactions() {
        #expect(!StepGuard(limitInARow: 3).ends(inARow: 2) && StepGuard(limitInARow: 3).ends(inARow: 3))
        #expect(StepGuard(reaction: .stop).ends(inARow: 1))
    }
}

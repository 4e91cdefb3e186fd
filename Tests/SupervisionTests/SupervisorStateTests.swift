import Configuration
import Glibc
import Supervision
import Testing

@Suite struct SupervisorStateTests {
    typealias Action = SupervisorState.Action
    typealias Outcome = SupervisorState.Outcome

    private func state(
        _ members: [String] = ["rollout-0", "scorer-0"], _ change: (inout SupervisorOptions) -> Void = { _ in }
    ) -> SupervisorState {
        var options = SupervisorOptions()
        change(&options)
        return SupervisorState(learner: "learner", members: members, options: options)
    }

    /// A state whose processes all run since second 1.
    private func running(
        _ members: [String] = ["rollout-0", "scorer-0"], _ change: (inout SupervisorOptions) -> Void = { _ in }
    ) -> SupervisorState {
        var state = state(members, change)
        _ = state.handle(.start, at: .zero)
        _ = state.handle(.endpointKnown, at: .seconds(1))
        return state
    }

    @Test func membersStartWhenTheLearnerListens() {
        var state = state()
        #expect(state.handle(.start, at: .seconds(5)) == [.spawn("learner")])
        #expect(state.nextDeadline == .seconds(65))
        #expect(state.handle(.endpointKnown, at: .seconds(6)) == [.spawn("rollout-0"), .spawn("scorer-0")])
        #expect(state.nextDeadline == nil, "nothing to wake up for")
        #expect(state.handle(.endpointKnown, at: .seconds(7)) == [])
    }

    @Test func aLearnerThatNeverListensEndsTheRun() {
        var state = state()
        _ = state.handle(.start, at: .zero)
        #expect(state.handle(.timer, at: .seconds(59)) == [])
        #expect(state.handle(.timer, at: .seconds(60)) == [.kill("learner", SIGTERM)])
        #expect(state.handle(.endpointKnown, at: .seconds(61)) == [])
        #expect(
            state.handle(.ended("learner", .exited(143)), at: .seconds(62))
                == [.finish(Outcome(code: 1, error: "the learner did not begin to listen within 60 s"))])
    }

    @Test func aFinishedLearnerGivesMembersTimeToGo() {
        var state = running()
        #expect(state.handle(.ended("learner", .exited(0)), at: .seconds(100)) == [])
        #expect(state.nextDeadline == .seconds(105))
        #expect(state.handle(.ended("rollout-0", .exited(0)), at: .seconds(101)) == [])
        #expect(state.handle(.timer, at: .seconds(105)) == [.kill("scorer-0", SIGTERM)])
        #expect(state.nextDeadline == .seconds(110))
        #expect(state.handle(.timer, at: .seconds(110)) == [.kill("scorer-0", SIGKILL)])
        #expect(state.nextDeadline == nil)
        #expect(
            state.handle(.ended("scorer-0", .signalled(SIGKILL)), at: .seconds(110)) == [.finish(Outcome(code: 0))])
        #expect(state.handle(.timer, at: .seconds(111)) == [], "finished once")
    }

    @Test func aDeadMemberIsStartedAgainLaterAndLater() {
        var state = running { $0.deathsAllowed = 100 }
        var now = Duration.seconds(2)
        for wait in ["0.5", "1", "2", "4", "8", "16", "30", "30", "30"] {
            let actions = state.handle(.ended("rollout-0", .signalled(SIGSEGV)), at: now)
            #expect(
                actions == [.warn("rollout-0 was killed by signal 11 (SIGSEGV); starting it again in \(wait) s")])
            let due = now + .milliseconds(Int(Double(wait)! * 1000))
            #expect(state.nextDeadline == due)
            #expect(state.handle(.timer, at: due - .milliseconds(1)) == [])
            #expect(state.handle(.timer, at: due) == [.spawn("rollout-0")])
            now = due + .seconds(1)
        }
        // A minute of life clears the count.
        let actions = state.handle(.ended("rollout-0", .exited(1)), at: now + .seconds(60))
        #expect(actions == [.warn("rollout-0 ended with exit status 1; starting it again in 0.5 s")])
    }

    @Test func aSchedulersTwoSignalsAreOneOrder() {
        var state = running()
        #expect(state.handle(.signal(SIGUSR1), at: .seconds(10)).last == .kill("learner", SIGTERM))
        #expect(state.handle(.signal(SIGUSR1), at: .seconds(20)) == [])
        #expect(state.handle(.signal(SIGTERM), at: .seconds(30)) == [], "the checkpoint is not cut short")
        _ = state.handle(.ended("rollout-0", .exited(0)), at: .seconds(40))
        _ = state.handle(.ended("scorer-0", .exited(0)), at: .seconds(40))
        #expect(
            state.handle(.ended("learner", .exited(143)), at: .seconds(41))
                == [.finish(Outcome(code: 143, isResumable: true))])
    }

    @Test func aPersonStillHurriesAScheduler() {
        var state = running()
        _ = state.handle(.signal(SIGUSR1), at: .seconds(10))
        #expect(state.handle(.signal(SIGINT), at: .seconds(20)) == [])
        #expect(state.handle(.signal(SIGINT), at: .seconds(30)).contains(.kill("learner", SIGKILL)))
    }

    @Test func deathsOfOneMemberDoNotCountForAnother() {
        var state = running { $0.deathsAllowed = 3 }
        for second in 2...3 {
            _ = state.handle(.ended("rollout-0", .exited(1)), at: .seconds(second))
            _ = state.handle(.ended("scorer-0", .exited(1)), at: .seconds(second))
            #expect(state.handle(.timer, at: .seconds(second + 1)).count == 2)
        }
    }

    @Test func eightQuickDeathsEndTheRun() {
        var state = running()
        var now = Duration.seconds(2)
        for _ in 1..<8 {
            #expect(state.handle(.ended("scorer-0", .exited(70)), at: now).count == 1)
            now = state.nextDeadline!
            #expect(state.handle(.timer, at: now) == [.spawn("scorer-0")])
        }
        let actions = state.handle(.ended("scorer-0", .exited(70)), at: now)
        #expect(actions == [.kill("learner", SIGTERM), .kill("rollout-0", SIGTERM)], "the learner may save its work")
        #expect(state.nextDeadline == now + .seconds(5), "members are killed sooner than the learner")
        #expect(state.handle(.timer, at: now + .seconds(5)) == [.kill("rollout-0", SIGKILL)])
        #expect(state.handle(.ended("rollout-0", .signalled(SIGKILL)), at: now) == [])
        #expect(state.nextDeadline == now + .seconds(120))
        let error = "scorer-0 died 8 times in a row; the last time it ended with exit status 70"
        #expect(
            state.handle(.ended("learner", .exited(143)), at: now)
                == [.finish(Outcome(code: 1, error: error, culprit: "scorer-0", isResumable: true))])
    }

    /// A server that is lost in the middle of a run may be away for hours.
    @Test func aMemberWhoseEngineIsNotThereIsStartedAgainForEver() {
        var state = running()
        var now = Duration.seconds(2)
        for _ in 0..<50 {
            now += .seconds(60)
            let actions = state.handle(.ended("scorer-0", .exited(ChildStatus.unavailable)), at: now)
            guard case .warn(let text)? = actions.first, actions.count == 1 else {
                Issue.record("\(actions)")
                return
            }
            #expect(text.hasPrefix("scorer-0 ended with exit status 69; starting it again in "))
            now = state.nextDeadline!
            #expect(state.handle(.timer, at: now) == [.spawn("scorer-0")])
        }
        // What it dies of otherwise counts from the beginning.
        for _ in 1..<8 {
            #expect(state.handle(.ended("scorer-0", .exited(1)), at: now).count == 1)
            now = state.nextDeadline!
            _ = state.handle(.timer, at: now)
        }
        #expect(state.handle(.ended("scorer-0", .exited(1)), at: now).contains(.kill("learner", SIGTERM)))
    }

    @Test func aMemberThatRefusesItsConfigurationIsNotRetried() {
        var state = running()
        #expect(
            state.handle(.ended("scorer-0", .exited(2)), at: .seconds(2))
                == [.kill("learner", SIGTERM), .kill("rollout-0", SIGTERM)])
        _ = state.handle(.ended("rollout-0", .exited(143)), at: .seconds(2))
        let actions = state.handle(.ended("learner", .exited(143)), at: .seconds(2))
        let error = "scorer-0 refused its configuration or models (exit status 2)"
        #expect(actions == [.finish(Outcome(code: 2, error: error, culprit: "scorer-0"))])
    }

    @Test func aMemberThatCannotBeStartedIsTriedAgain() {
        var state = running()
        #expect(
            state.handle(.ended("rollout-0", .notStarted("Cannot allocate memory")), at: .seconds(2))
                == [.warn("rollout-0 could not be started: Cannot allocate memory; starting it again in 0.5 s")])
    }

    @Test func aMemberThatLeavesIsNotHurried() {
        var state = running()
        #expect(state.handle(.ended("rollout-0", .exited(0)), at: .seconds(10)) == [])
        #expect(state.nextDeadline == .seconds(40))
        #expect(state.handle(.timer, at: .seconds(40)) == [.spawn("rollout-0")])
        _ = state.handle(.ended("rollout-0", .exited(0)), at: .seconds(50))
        _ = state.handle(.ended("learner", .exited(0)), at: .seconds(51))
        #expect(state.nextDeadline == .seconds(56), "only the scorer is waited for")
        #expect(state.handle(.ended("scorer-0", .exited(0)), at: .seconds(52)) == [.finish(Outcome(code: 0))])
    }

    @Test(arguments: [
        (ChildStatus.exited(1), Outcome(code: 1, isResumable: true)),
        (.exited(2), Outcome(code: 2)),
        (.exited(143), Outcome(code: 143, isResumable: true)),
        (.exited(130), Outcome(code: 130, isResumable: true)),
        (.exited(138), Outcome(code: 138, isResumable: true)),
        (.exited(75), Outcome(code: 75, isResumable: true)),
        (.exited(70), Outcome(code: 1, error: "the learner ended with exit status 70", isResumable: true)),
        (
            .signalled(SIGKILL),
            Outcome(
                code: 1,
                error: "the learner was killed by signal 9 (SIGKILL; the system does that when memory runs out)",
                isResumable: true)
        ),
        (.notStarted("no"), Outcome(code: 1, error: "the learner could not be started: no")),
    ])
    func theRunEndsWithTheLearner(status: ChildStatus, outcome: Outcome) {
        var state = running(["rollout-0"])
        #expect(state.handle(.ended("learner", status), at: .seconds(9)) == [.kill("rollout-0", SIGTERM)])
        #expect(state.nextDeadline == .seconds(14))
        #expect(state.handle(.ended("rollout-0", .exited(143)), at: .seconds(10)) == [.finish(outcome)])
    }

    @Test func aLearnerThatEndsBeforeItListensLeavesNobody() {
        var state = state()
        _ = state.handle(.start, at: .zero)
        #expect(
            state.handle(.ended("learner", .exited(1)), at: .seconds(1))
                == [.finish(Outcome(code: 1, isResumable: true))])
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
    func aSignalLetsTheLearnerWriteItsCheckpoint(signal: Int32) {
        var state = running()
        let actions = state.handle(.signal(signal), at: .seconds(10))
        #expect(actions.last == .kill("learner", signal == SIGINT ? SIGINT : SIGTERM))
        #expect(actions.count == 2)
        #expect(state.nextDeadline == nil, "a checkpoint takes the time it takes")
        #expect(state.handle(.ended("scorer-0", .exited(1)), at: .seconds(11)) == [], "nobody is started again")
        #expect(state.nextDeadline == nil)
        #expect(state.handle(.ended("learner", .exited(143)), at: .seconds(20)) == [.kill("rollout-0", SIGTERM)])
        #expect(
            state.handle(.ended("rollout-0", .exited(0)), at: .seconds(20))
                == [.finish(Outcome(code: 128 + signal, isResumable: true))])
    }

    @Test func aSignalCancelsRestarts() {
        var state = running(["rollout-0"])
        _ = state.handle(.ended("rollout-0", .exited(1)), at: .seconds(10))
        _ = state.handle(.signal(SIGINT), at: .seconds(10))
        #expect(state.nextDeadline == nil)
        #expect(
            state.handle(.ended("learner", .signalled(SIGTERM)), at: .seconds(11))
                == [.finish(Outcome(code: 130, isResumable: true))], "a learner that was not ready to save")
    }

    @Test func aSecondSignalKillsAll() {
        var state = running()
        _ = state.handle(.signal(SIGINT), at: .seconds(10))
        #expect(state.handle(.signal(SIGINT), at: .milliseconds(10_500)) == [], "the same Ctrl-C, sent twice")
        #expect(
            state.handle(.signal(SIGTERM), at: .seconds(12))
                == [.kill("learner", SIGKILL), .kill("rollout-0", SIGKILL), .kill("scorer-0", SIGKILL)])
        for name in ["rollout-0", "learner"] {
            #expect(state.handle(.ended(name, .signalled(SIGKILL)), at: .seconds(12)) == [])
        }
        #expect(
            state.handle(.ended("scorer-0", .signalled(SIGKILL)), at: .seconds(12))
                == [.finish(Outcome(code: 130, isResumable: true))])
    }

    @Test func aCheckpointThatFailsAtTheEndIsNoCleanStop() {
        var state = running([])
        _ = state.handle(.signal(SIGINT), at: .seconds(10))
        let actions = state.handle(.ended("learner", .exited(1)), at: .seconds(20))
        guard case .finish(let outcome) = actions.last else { return #expect(Bool(false), "\(actions)") }
        #expect(outcome.code == 1)
        #expect(outcome.error?.contains("checkpoint") == true)
        #expect(outcome.isResumable)
    }

    @Test func aFailingRunKeepsItsCheckpointThroughOneSignal() {
        var state = running()
        _ = state.handle(.ended("scorer-0", .exited(2)), at: .seconds(2))
        let first = state.handle(.signal(SIGINT), at: .seconds(3))
        #expect(first.count == 1, "only told")
        let second = state.handle(.signal(SIGINT), at: .seconds(5))
        #expect(second == [.kill("learner", SIGKILL), .kill("rollout-0", SIGKILL)])
    }

    @Test func strangersAreIgnored() {
        var state = running()
        #expect(state.handle(.ended("nobody", .exited(1)), at: .seconds(2)) == [])
        _ = state.handle(.ended("rollout-0", .exited(1)), at: .seconds(2))
        #expect(state.handle(.ended("rollout-0", .exited(1)), at: .seconds(2)) == [], "it ended already")
    }
}

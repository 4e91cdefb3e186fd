import Placement
import Testing

@Suite struct PlacementPlanTests {
    private static func process(_ name: String, _ host: String) -> PlacedProcess {
        let role: PlacedProcess.Role =
            name == "learner" ? .learner : name.hasPrefix("rollout") ? .rollout(teacher: nil) : .scorer(teacher: "t")
        return PlacedProcess(name: name, role: role, host: host, arguments: [role.command, name])
    }

    private static let wanted = [process("learner", "a"), process("rollout-b-0", "b"), process("scorer-c-t-0", "c")]

    /// What hosts say when these processes run as they are wanted.
    private static func views(
        _ processes: [PlacedProcess], hosts: [String] = ["a", "b", "c"],
        _ change: (inout HostReport.Process) -> Void = { _ in }
    ) -> [String: PlacementPlan.View] {
        var views: [String: PlacementPlan.View] = [:]
        for host in hosts {
            var report = HostReport()
            for wanted in processes where wanted.host == host {
                var process = HostReport.Process(name: wanted.name, state: .running, fingerprint: wanted.fingerprint)
                change(&process)
                report.processes.append(process)
            }
            views[host] = .seen(report)
        }
        return views
    }

    @Test func everythingIsStartedWhereNothingRuns() {
        let plan = PlacementPlan(wanted: Self.wanted, views: Self.views([]))
        #expect(plan.startsLearner && plan.stops.isEmpty && plan.kept.isEmpty && plan.obstacle == nil)
        #expect(plan.starts == ["b": [Self.wanted[1]], "c": [Self.wanted[2]]])
        #expect(plan.startingHosts(learner: "a") == ["a", "b", "c"])
    }

    @Test func whatRunsAsItShouldIsLeftAlone() {
        let plan = PlacementPlan(wanted: Self.wanted, views: Self.views(Self.wanted), earlierLearner: "a")
        #expect(plan.isNothing && plan.notes.isEmpty && plan.obstacle == nil)
        #expect(plan.kept == ["learner", "rollout-b-0", "scorer-c-t-0"])
    }

    @Test func aMemberThatDiedIsStartedUnlessItWaits() {
        for state in [HostReport.Process.State.ended(137), .ended(0), .lost] {
            let views = Self.views(Self.wanted) { if $0.name == "rollout-b-0" { $0.state = state } }
            let plan = PlacementPlan(wanted: Self.wanted, views: views)
            #expect(plan.starts == ["b": [Self.wanted[1]]] && !plan.startsLearner && plan.stops.isEmpty)
            #expect(PlacementPlan(wanted: Self.wanted, views: views, waiting: ["rollout-b-0"]).isNothing)
        }
    }

    /// The learner has ended the run for its members, and may still wait for the last copy of a checkpoint.
    @Test func aMemberThatTheLearnerSentHomeIsNotStartedAgain() {
        func views(memberEnded: Int) -> [String: PlacementPlan.View] {
            Self.views(Self.wanted) { process in
                process.seconds = 100
                guard process.name == "rollout-b-0" else { return }
                (process.state, process.seconds) = (.ended(0), memberEnded)
            }
        }
        #expect(PlacementPlan(wanted: Self.wanted, views: views(memberEnded: 5)).isNothing)
        // One that an earlier learner sent home is.
        let plan = PlacementPlan(wanted: Self.wanted, views: views(memberEnded: 200))
        #expect(plan.starts == ["b": [Self.wanted[1]]])
    }

    /// What 'opd down' has ended between two looks of '--watch' stays so.
    @Test func whoWatchesStartsNoLearner() {
        for state in [HostReport.Process.State.ended(143), .lost] {
            let views = Self.views(Self.wanted) { $0.state = state }
            let plan = PlacementPlan(wanted: Self.wanted, views: views, watches: true)
            #expect(plan.isOver && plan.isNothing && !plan.isDone)
        }
        #expect(!PlacementPlan(wanted: Self.wanted, views: Self.views(Self.wanted), watches: true).isOver)
    }

    @Test func growingAndShrinkingTouchNoOther() {
        let more = Self.wanted + [Self.process("rollout-b-1", "b")]
        #expect(PlacementPlan(wanted: more, views: Self.views(Self.wanted)).starts == ["b": [more[3]]])
        // A machine that is not among the wanted any more is still asked.
        let less = Array(Self.wanted.dropLast())
        let plan = PlacementPlan(wanted: less, views: Self.views(Self.wanted))
        #expect(plan.stops == ["c": ["scorer-c-t-0"]] && plan.removed == ["scorer-c-t-0"] && plan.starts.isEmpty)
    }

    @Test func aMemberWithOtherOptionsIsStartedAgainAndTheLearnerIsNot() {
        let plan = PlacementPlan(
            wanted: Self.wanted, views: Self.views(Self.wanted) { $0.fingerprint = "other" })
        #expect(plan.stops == ["b": ["rollout-b-0"], "c": ["scorer-c-t-0"]] && plan.removed.isEmpty)
        #expect(plan.starts.keys.sorted() == ["b", "c"] && !plan.startsLearner)
        #expect(plan.notes.count == 1 && plan.notes[0].contains("the learner goes on as it was started"))
    }

    @Test func aHostThatIsAwayStopsNoOther() {
        var views = Self.views([])
        views["b"] = .away
        let plan = PlacementPlan(wanted: Self.wanted, views: views)
        #expect(plan.startsLearner && plan.starts == ["c": [Self.wanted[2]]] && plan.obstacle == nil)
        views["a"] = .away
        let blind = PlacementPlan(wanted: Self.wanted, views: views)
        #expect(blind.isNothing && blind.obstacle?.contains("host a cannot be asked") == true)
    }

    @Test func aRunThatHasEndedIsNotBegunAgain() {
        let views = Self.views(Self.wanted) { if $0.name == "learner" { $0.state = .ended(0) } }
        let plan = PlacementPlan(wanted: Self.wanted, views: views)
        #expect(plan.isDone && plan.starts.isEmpty && !plan.startsLearner)
        #expect(plan.stops == ["b": ["rollout-b-0"], "c": ["scorer-c-t-0"]])
        let again = PlacementPlan(wanted: Self.wanted, views: views, restarts: true)
        #expect(!again.isDone && again.startsLearner && again.kept == ["rollout-b-0", "scorer-c-t-0"])
        // Any other end is gone on from.
        let stopped = Self.views(Self.wanted) { if $0.name == "learner" { $0.state = .ended(143) } }
        #expect(PlacementPlan(wanted: Self.wanted, views: stopped).startsLearner)
    }

    @Test func twoLearnersAreNeverStarted() {
        let moved = [Self.process("learner", "b")] + Self.wanted.dropFirst()
        let running = PlacementPlan(wanted: moved, views: Self.views(Self.wanted), restarts: true)
        #expect(!running.startsLearner && running.starts.isEmpty && running.obstacle?.contains("runs on a") == true)
        let ended = Self.views(Self.wanted) { $0.state = .ended(143) }
        let unsure = PlacementPlan(wanted: moved, views: ended, earlierLearner: "a")
        #expect(!unsure.startsLearner && unsure.obstacle?.contains("has the run's folder") == true)
        #expect(PlacementPlan(wanted: moved, views: ended, earlierLearner: "a", restarts: true).startsLearner)
    }

    @Test func deathsInARowWaitLonger() {
        var waits = RestartWaits()
        #expect(waits.waiting(at: .zero).isEmpty)
        var now = Duration.zero
        var last = Duration.zero
        for _ in 0..<6 {
            waits.started(["x"], at: now)
            let begin = now
            while waits.waiting(at: now) == ["x"] { now += .milliseconds(500) }
            #expect(now - begin > last && now - begin <= .seconds(30))
            last = now - begin
        }
        now += .seconds(100)
        waits.started(["x"], at: now)
        #expect(waits.waiting(at: now + .milliseconds(500)).isEmpty, "it lived long enough to be sound")
    }
}

import Distillation
import Exchange
import Foundation
import TestSupport
import Testing
import Wire

@Suite struct ExchangePropertyTests {
    /// `OPD_PROPERTY_SEEDS=2000` looks longer than `make test` does.
    static let seeds = UInt64(ProcessInfo.processInfo.environment["OPD_PROPERTY_SEEDS"] ?? "") ?? 40

    /// Runs to the end, first with faults for a while, then without.
    private func run(
        _ plan: RunPlan, seed: UInt64, faults: Faults, members: Int = 2, skips: Set<UInt64> = []
    ) -> Simulation {
        var simulation = Simulation(plan: plan, seed: seed)
        simulation.skips = skips
        for _ in 0..<members {
            simulation.add(.rollout)
            simulation.add(.scorer)
        }
        for _ in 0..<600 where !simulation.done && simulation.problems.isEmpty { simulation.step(faults) }
        simulation.calm()
        // Progress whenever one worker and one scorer live: generous against leases that have to run out first.
        for _ in 0..<2400 where !simulation.done && simulation.problems.isEmpty { simulation.step(.none) }
        return simulation
    }

    private func expectWhole(_ simulation: Simulation, _ seed: UInt64) {
        #expect(simulation.problems == [], "seed \(seed)")
        let place =
            "seed \(seed): step \(simulation.exchange.version), \(simulation.exchange.waitingFor(now: simulation.now)?.text ?? "ready")"
        #expect(simulation.done, "\(place)")
        #expect(UInt64(simulation.trained.count) == simulation.plan.steps)
        let counts = simulation.exchange.ledger.counts
        let tokens = simulation.trained.enumerated().reduce(0) {
            $0 + (simulation.skips.contains(UInt64($1.offset)) ? 0 : responseTokenCount($1.element))
        }
        #expect(counts.balances && counts.inFlight == 0 && counts.trained == UInt64(tokens), "seed \(seed)")
        #expect(Set(simulation.evaluations.keys) == [0, 4, 8])
    }

    @Test(arguments: [0, 1, 3] as [UInt64]) func undisturbedRunsComplete(maxStaleness: UInt64) {
        let simulation = run(plan(maxStaleness: maxStaleness), seed: 1, faults: .none)
        expectWhole(simulation, 1)
        #expect(simulation.exchange.counters.reissued == 0)
        #expect(simulation.exchange.ledger.counts.discarded == 0)
    }

    /// Whatever dies when: nothing is lost, nothing trained twice, and a synchronous run ends with the same batches.
    @Test(arguments: 0..<ExchangePropertyTests.seeds) func synchronousRunsAreTheSameWhateverHappens(seed: UInt64) {
        let calm = run(plan(), seed: 1000, faults: .none, members: 1)
        let disturbed = run(plan(), seed: seed, faults: .many)
        expectWhole(disturbed, seed)
        #expect(disturbed.trained == calm.trained, "seed \(seed)")
        #expect(disturbed.evaluations == calm.evaluations, "seed \(seed)")
        #expect(disturbed.exchange.ledger.counts == calm.exchange.ledger.counts, "seed \(seed)")
    }

    @Test(arguments: 100_000..<100_000 + ExchangePropertyTests.seeds) func staleRunsKeepTheirBooks(seed: UInt64) {
        let plan = plan(maxStaleness: 1 + seed % 3, teachers: ["default", "other"])
        expectWhole(run(plan, seed: seed, faults: .many), seed)
    }

    /// Teachers that are an earlier self: every response is graded by the version that its step has, whatever happens.
    @Test(arguments: 400_000..<400_000 + ExchangePropertyTests.seeds) func earlierSelvesGradeWhatIsTheirs(seed: UInt64)
    {
        var plan = plan(maxStaleness: seed % 3)
        plan.refreshes = ["default": 1 + seed % 4]
        let disturbed = run(plan, seed: seed, faults: .many)
        expectWhole(disturbed, seed)
        guard plan.maxStaleness == 0 else { return }
        #expect(disturbed.trained == run(plan, seed: 1000, faults: .none, members: 1).trained, "seed \(seed)")
    }

    /// Several teachers for one prompt: every response is graded by all of them before it is trained on, whatever
    /// happens.
    @Test(arguments: 500_000..<500_000 + ExchangePropertyTests.seeds) func allTeachersGrade(seed: UInt64) {
        var plan = plan(maxStaleness: seed % 3, teachers: ["default", "other"])
        for index in plan.prompts.indices where index % 3 != 0 {
            let other = plan.prompts[index].teacher == "default" ? "other" : "default"
            plan.prompts[index].share = 0.25
            plan.prompts[index].others = [PromptTeacher(label: other, share: 0.75)]
        }
        let disturbed = run(plan, seed: seed, faults: .many)
        expectWhole(disturbed, seed)
        guard plan.maxStaleness == 0 else { return }
        #expect(disturbed.trained == run(plan, seed: 1000, faults: .none).trained, "seed \(seed)")
    }

    /// Whatever befalls all others, and for however long: one worker and one scorer bring a run to its end.
    @Test(arguments: 300_000..<300_000 + ExchangePropertyTests.seeds) func oneOfEachIsEnough(seed: UInt64) {
        var simulation = Simulation(plan: plan(maxStaleness: seed % 3), seed: seed)
        for role in Role.allCases { simulation.add(role) }
        simulation.immortal = Set(simulation.members.keys)
        for role in Role.allCases + Role.allCases { simulation.add(role) }
        var faults = Faults.many
        faults.learnerCrash = 0
        faults.corruptResult = 0
        for _ in 0..<6000 where !simulation.done && simulation.problems.isEmpty { simulation.step(faults) }
        expectWhole(simulation, seed)
    }

    /// Steps that are given up are booked as such, and cost the run nothing else.
    @Test(arguments: 200_000..<200_000 + ExchangePropertyTests.seeds) func skippedStepsAreBooked(seed: UInt64) {
        let skips: Set<UInt64> = [1, 2, 5]
        let calm = run(plan(), seed: 1000, faults: .none, members: 1, skips: skips)
        let disturbed = run(plan(), seed: seed, faults: .many, skips: skips)
        expectWhole(disturbed, seed)
        #expect(disturbed.trained == calm.trained, "seed \(seed)")
        #expect(disturbed.exchange.ledger.counts == calm.exchange.ledger.counts, "seed \(seed)")
        let discarded = skips.reduce(0) { $0 + responseTokenCount(calm.trained[Int($1)]) }
        #expect(calm.exchange.ledger.counts.discarded == UInt64(discarded) && discarded > 0)
    }

    /// The faults above must happen for the tests above to mean something.
    @Test func faultsHappen() {
        let runs = (0..<10 as Range<UInt64>).map { run(plan(), seed: $0, faults: .many) }
        #expect(runs.reduce(0) { $0 + $1.learnerCrashes } > 3)
        #expect(runs.reduce(0) { $0 + $1.crashes } > 20)
        #expect(runs.reduce(0) { $0 + $1.exchange.counters.reissued } > 5)
        #expect(runs.reduce(0) { $0 + $1.exchange.counters.duplicates } > 5)
        #expect(runs.reduce(0) { $0 + $1.exchange.counters.invalid } > 3)
    }
}

import ClusterSimulation
import Distillation
import Exchange
import TestSupport
import Testing
import Wire

/// Many simulated members at once, with the real codec between: what the measurements of docs/scale.md run.
@Suite struct ClusterTests {
    private func shape(workers: Int = 60, scorers: Int = 3) -> ClusterShape {
        var shape = ClusterShape(workers: workers, scorers: scorers)
        shape.steps = 3
        shape.tokens = 12
        shape.promptTokens = 4
        return shape
    }

    @Test func aCalmRunTrainsEveryTokenOnce() {
        let shape = shape(), cluster = VirtualCluster(shape)
        cluster.run()
        #expect(cluster.problems == [])
        #expect(cluster.isDone)
        let counts = cluster.exchange.ledger.counts
        #expect(counts.balances && counts.inFlight == 0 && counts.discarded == 0)
        #expect(counts.trained == UInt64(cluster.trainedTokens))
        // One lease for each prompt, one for each trajectory, and none twice.
        let trajectories = shape.prompts * shape.samples * Int(shape.steps)
        #expect(cluster.exchange.counters.grants == shape.prompts * Int(shape.steps) + trajectories)
        #expect(cluster.exchange.counters.reissued == 0)
        #expect(cluster.exchange.memberCount(.rollout) == 60)
    }

    @Test func membersThatDieComeLateAndDeliverTwiceLeaveTheBooksBalanced() {
        var shape = shape()
        (shape.deathsPerSecond, shape.late, shape.doubled) = (0.02, 0.2, 0.2)
        let runs = (0..<2).map { _ in
            let cluster = VirtualCluster(shape)
            cluster.run()
            return cluster
        }
        for cluster in runs {
            #expect(cluster.problems == [])
            #expect(cluster.isDone)
            #expect(cluster.exchange.ledger.counts.balances && cluster.exchange.ledger.counts.inFlight == 0)
            #expect(cluster.exchange.ledger.counts.trained == UInt64(cluster.trainedTokens))
            #expect(cluster.deaths > 10 && cluster.exchange.counters.duplicates > 10)
            #expect(cluster.exchange.counters.reissued > 0)
        }
        // The same events, not only the same end.
        #expect(runs[0].exchange.counters == runs[1].exchange.counters)
        #expect(runs[0].now == runs[1].now && runs[0].deaths == runs[1].deaths)
        #expect(runs[0].costs.bytesIn == runs[1].costs.bytesIn && runs[0].costs.bytesOut == runs[1].costs.bytesOut)
    }

    /// Who is nearest to being idle is found without a look at all: it must be the one that a look at all would find.
    @Test func workGoesToWhoHoldsLeastInTheOrderOfGrants() {
        var exchange = Exchange(
            plan: plan(prompts: 7, samples: 1, heldout: 0), options: ExchangeOptions(runID: "test"), epoch: 1)
        func say(_ message: Message, _ name: String) -> [Exchange.Action] {
            exchange.receive(message, from: PeerID(name), now: .zero)
        }
        var holders: [String] = []
        func note(_ actions: [Exchange.Action]) {
            for case .send(.rolloutGrant(let grant), let peer) in actions {
                holders += grant.groups.map { "\(peer) \($0.group)" }
            }
        }
        for name in ["c", "a", "b"] {
            note(say(.hello(Hello(role: .rollout, name: name, tokenizerFingerprint: nil, processID: 1)), name))
        }
        // The first to ask gets what it asks for.
        note(say(.leaseRequest(LeaseRequest(count: 2, epoch: 1)), "b"))
        #expect(holders == ["b 0", "b 1"])
        note(say(.leaseRequest(LeaseRequest(count: 3, epoch: 1)), "c"))
        note(say(.leaseRequest(LeaseRequest(count: 4, epoch: 1)), "a"))
        #expect(holders == ["b 0", "b 1", "c 2", "c 3", "c 4", "a 5", "a 6"])
        // Among equals what is free again goes first to who was given something longest ago.
        holders = []
        note(say(.leaseRequest(LeaseRequest(count: 8, epoch: 1)), "b"))
        note(say(.goodbye(Goodbye(reason: "done")), "c"))
        #expect(holders == ["a 3", "b 2", "b 4"])
        #expect(exchange.audit() == nil)
        // One that comes again under its name stands as a newcomer.
        note(say(.hello(Hello(role: .rollout, name: "b", tokenizerFingerprint: nil, processID: 2)), "b"))
        #expect(exchange.audit() == nil)
        #expect(exchange.memberCount(.rollout) == 2)
    }
}

import Distillation
import Exchange
import Transport
import Wire

/// A learner that trains nothing: grants, takes results, closes batches.
actor LoadLearner {
    struct Figures: Sendable {
        var members = 0
        /// Hellos that were accepted.
        var welcomed = 0
        var lost = 0
        var trajectories = 0
        var longestSilence = 0.0
        /// Median of the shortest round trips that members have seen, in seconds.
        var roundTrip = 0.0
    }

    private let transport: ZeroMQTransport
    private let origin = ContinuousClock.now
    private let plan: RunPlan
    private var exchange: Exchange
    private var roundTrips: [PeerID: UInt64] = [:]
    private var longestSilence = 0.0
    private(set) var welcomed = 0
    private var before = (lost: 0, generated: UInt64(0))

    /// Tokens of every response.
    static let tokens = 16

    init(_ transport: ZeroMQTransport, members: Int) {
        self.transport = transport
        // Without teachers nothing is graded: what is measured are workers.
        plan = RunPlan(
            prompts: [Prompt(ids: [1, 2, 3], teacher: nil)], seed: 1, steps: 1_000_000,
            promptsPerStep: max(1, members / 4), samplesPerPrompt: 4, maxStaleness: 4,
            sampling: SamplingSettings(maxTokens: Self.tokens, temperature: 1, topP: 1, topK: 0, stopTokenIDs: []))
        exchange = Exchange(plan: plan, options: ExchangeOptions(runID: "connections"), epoch: 1)
    }

    private var now: Duration { origin.duration(to: .now) }

    var memberCount: Int { exchange.memberCount(.rollout) }

    func receive(_ burst: [TransportEvent]) {
        for case .message(.heartbeat(let beat), let peer) in burst {
            if let alignment = beat.alignment { roundTrips[peer] = alignment.roundTrip }
        }
        perform(exchange.receive(burst, now: now))
        while exchange.stage == .ready {
            exchange.completeStep()
            perform(exchange.grantWork(now: now))
        }
    }

    func tick() {
        let silences = exchange.status(now: now).members.map(\.silenceSeconds)
        longestSilence = max(longestSilence, silences.max() ?? 0)
        perform(exchange.tick(now: now))
    }

    func beginPhase() {
        roundTrips = [:]
        longestSilence = 0
        welcomed = 0
        before = (exchange.counters.membersLost, exchange.ledger.counts.generated)
    }

    var figures: Figures {
        let sorted = roundTrips.values.sorted()
        return Figures(
            members: memberCount, welcomed: welcomed, lost: exchange.counters.membersLost - before.lost,
            trajectories: Int(exchange.ledger.counts.generated - before.generated) / Self.tokens,
            longestSilence: longestSilence, roundTrip: sorted.isEmpty ? 0 : Double(sorted[sorted.count / 2]) / 1e6)
    }

    private func perform(_ actions: [Exchange.Action]) {
        for case .send(let message, let peer) in actions {
            if case .welcome = message { welcomed += 1 }
            do { try transport.send(message, to: peer) } catch { print("\(message.name) cannot be encoded: \(error)") }
        }
    }
}

import Distillation
import Exchange
import Wire

/// A run of the real exchange, ledger and codec with simulated members, in virtual time.
///
/// Nothing is random but by the seed, and nothing waits: two runs of one shape are the same, event by event. Every
/// message goes through the codec. What the learner does is measured in CPU time, what members do is not.
package final class VirtualCluster {
    enum Place {
        case worker(Int)
        case scorer(Int)
    }

    enum Event {
        case toLearner(PeerID, [Frame])
        case toMember(PeerID, [Frame])
        /// A process begins.
        case start(Place)
        case memberTick(PeerID)
        /// What a member has under way is done.
        case done(PeerID)
        case burst
        case learnerTick
        case trained
    }

    enum Inbound {
        case frames(PeerID, [Frame])
        case undeliverable(Message, PeerID)
    }

    package let shape: ClusterShape
    package let plan: RunPlan
    package private(set) var exchange: Exchange
    package private(set) var costs = ClusterCosts()
    package private(set) var now: Duration = .zero
    /// Response tokens of the batches that were trained.
    package private(set) var trainedTokens = 0
    package internal(set) var deaths = 0
    /// Broken invariants, and messages that could not be encoded or read; none in a run that is well.
    package internal(set) var problems: [String] = []

    var dice: Dice
    var events = EventQueue<Event>()
    var workers: [VirtualMember<RolloutTask>?]
    var scorers: [VirtualMember<ScoreTask>?]
    var places: [PeerID: Place] = [:]
    var processes: UInt64 = 0
    /// When the last message to or from a peer arrives: later ones come later.
    var arrivals: [PeerID: Duration] = [:]
    private var inbox: [Inbound] = []
    private var isBurstDue = false
    private var isTraining = false
    private var statusAt: Duration = .zero

    /// Messages that the learner takes at once.
    private static let burst = 64

    package init(_ shape: ClusterShape) {
        self.shape = shape
        plan = shape.plan
        exchange = Exchange(plan: plan, options: shape.options, epoch: 1)
        dice = Dice(seed: shape.seed)
        workers = Array(repeating: nil, count: shape.workers)
        scorers = Array(repeating: nil, count: shape.scorers)
    }

    package var isDone: Bool { exchange.version == plan.steps }

    /// Runs to the end of the last step, or to a limit of virtual time, which is a problem then.
    package func run(limit: Duration = .seconds(3600)) {
        for index in workers.indices {
            let isLate = dice.happens(shape.late)
            events.add(
                .start(.worker(index)), at: .milliseconds(dice.integer(isLate ? 5_000..<20_000 : 0..<1000)))
        }
        for index in scorers.indices { events.add(.start(.scorer(index)), at: .milliseconds(dice.integer(0..<1000))) }
        events.add(.learnerTick, at: .milliseconds(200))
        while !isDone, problems.isEmpty, let (at, event) = events.next() {
            now = at
            if now > limit { problems.append("step \(exchange.version) is not done at \(now)") }
            handle(event)
        }
        if let flaw = exchange.audit() { problems.append(flaw) }
    }

    private func handle(_ event: Event) {
        switch event {
        case .toLearner(let peer, let frames): arrive(.frames(peer, frames))
        case .toMember(let peer, let frames): deliver(frames, to: peer)
        case .start(let place): start(place)
        case .memberTick(let peer): tickMember(peer)
        case .done(let peer): finishWork(of: peer)
        case .burst: takeBurst()
        case .learnerTick:
            let start = CostMeter.now
            let actions = exchange.tick(now: now)
            costs.ticking.add(since: start)
            perform(actions)
            askStatus()
            events.add(.learnerTick, at: now + .milliseconds(200))
        case .trained: train()
        }
    }

    // MARK: The learner

    private func arrive(_ message: Inbound) {
        inbox.append(message)
        guard !isBurstDue else { return }
        isBurstDue = true
        // What comes within a millisecond is taken together.
        events.add(.burst, at: now + .milliseconds(1))
    }

    private func takeBurst() {
        let taken = Array(inbox.prefix(Self.burst))
        inbox.removeFirst(taken.count)
        isBurstDue = !inbox.isEmpty
        if isBurstDue { events.add(.burst, at: now) }
        var received: [TransportEvent] = []
        let decoding = CostMeter.now
        for message in taken {
            switch message {
            case .undeliverable(let message, let peer): received.append(.undeliverable(message, to: peer))
            case .frames(let peer, let frames):
                do throws(WireError) {
                    received.append(.message(try Codec.decode(frames), from: peer))
                } catch {
                    problems.append("\(peer): \(error)")
                }
            }
        }
        costs.decoding.add(since: decoding, count: taken.count)
        let hellos = received.count { if case .message(.hello, _) = $0 { true } else { false } }
        let receiving = CostMeter.now
        let actions = exchange.receive(received, now: now)
        if hellos == received.count { costs.joining.add(since: receiving, count: hellos) }
        costs.receiving.add(since: receiving, count: received.count)
        perform(actions)
        let waking = CostMeter.now
        let isReady = exchange.stage == .ready
        _ = exchange.leaseKinds
        costs.waking.add(since: waking)
        guard isReady, !isTraining else { return }
        isTraining = true
        events.add(.trained, at: now + .milliseconds(shape.trainingMilliseconds))
    }

    private func train() {
        isTraining = false
        let closing = CostMeter.now
        guard let batch = exchange.batch() else { return problems.append("a complete batch is none any more") }
        exchange.completeStep()
        costs.closing.add(since: closing, count: batch.count)
        trainedTokens += responseTokenCount(batch)
        perform(exchange.peers(.rollout).map { .announceWeights(to: $0) })
        let before = exchange.counters.grants
        let granting = CostMeter.now
        let grants = exchange.grantWork(now: now)
        costs.granting.add(since: granting, count: exchange.counters.grants - before)
        perform(grants)
        if let flaw = exchange.audit() { problems.append(flaw) }
    }

    private func askStatus() {
        guard now - statusAt >= .seconds(5) else { return }
        statusAt = now
        let start = CostMeter.now
        let frames = encode(.status(exchange.status(now: now)))
        costs.status.add(since: start)
        costs.statusBytes = max(costs.statusBytes, frames.reduce(0) { $0 + $1.count })
    }

    private func perform(_ actions: [Exchange.Action]) {
        for action in actions {
            switch action {
            case .send(let message, let peer): send(message, peer)
            case .announceWeights(let peer):
                let manifest = WeightManifest(matrixType: .f32, byteCount: 4)
                let announcement = WeightsAnnounce(
                    version: exchange.version, manifest: manifest, chunkByteCount: 4, chunkCount: 1, checksum: 0,
                    sharedMemoryPath: nil, hostID: "")
                send(.weightsAnnounce(announcement), peer)
            case .serveWeights, .note, .suspect, .reportStatus, .spans: break
            }
        }
    }

    private func send(_ message: Message, _ peer: PeerID) {
        let start = CostMeter.now
        let frames = encode(message)
        costs.encoding.add(since: start)
        costs.messagesOut += 1
        costs.bytesOut += frames.reduce(0) { $0 + $1.count }
        guard places[peer] != nil else { return arrive(.undeliverable(message, peer)) }
        events.add(.toMember(peer, frames), at: arrival(peer))
    }

    func encode(_ message: Message) -> [Frame] {
        do throws(WireError) {
            return try Codec.encode(message)
        } catch {
            problems.append("\(message.name): \(error)")
            return []
        }
    }

    func countBytesIn(_ count: Int) { costs.bytesIn += count }

    /// When a message that is sent now arrives: after those before it.
    func arrival(_ peer: PeerID) -> Duration {
        let time = max(arrivals[peer] ?? .zero, now + .milliseconds(dice.integer(shape.latencyMilliseconds)))
        arrivals[peer] = time
        return time
    }
}

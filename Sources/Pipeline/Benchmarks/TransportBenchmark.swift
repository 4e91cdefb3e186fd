import Distillation
import Logging
import Wire

/// Trajectories through exchange and back over loopback TCP: granted, delivered, booked and acknowledged.
///
/// Everything but models is real: sockets, codec, leases, ledger. Clients and learner share this process.
public enum TransportBenchmark {
    public struct Result: Sendable {
        public var trajectories: Int
        /// From the first grant to the last acknowledgement.
        public var seconds: Double
        /// Of the arrays of one trajectory.
        public var byteCount: Int
    }

    /// - Parameters:
    ///   - clients: rollout workers, each with a connection of its own.
    ///   - byteCount: array bytes of one trajectory, at least 16; 8 a response token.
    ///   - window: trajectories that a client has under way.
    public static func run(
        clients: Int, byteCount: Int, trajectories: Int, window: Int, logger: Logger
    ) async throws -> Result {
        let tokens = max(1, (byteCount - 4) / 8)
        let plan = RunPlan(
            prompts: [Prompt(ids: [1], teacher: "default")], seed: 1, steps: 1, promptsPerStep: trajectories,
            samplesPerPrompt: 1,
            sampling: SamplingSettings(maxTokens: tokens, temperature: 1, topP: 1, topK: 0, stopTokenIDs: []))
        var options = TransportOptions()
        // What is measured is above the rate that any member needs.
        options.connections.messagesPerSecond = 1e9
        let transport = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", options: options, logger: logger)
        let exchange = Exchange(plan: plan, options: ExchangeOptions(runID: "bench"), epoch: 1)
        let learner = Task { try await serve(exchange, transport, tokens: UInt64(trajectories * tokens)) }
        let members = try (0..<clients).map { index in
            let name = "client-\(index)"
            let transport = try ZeroMQTransport.member(
                connect: transport.endpoint, identity: name, logger: logger)
            return Task { try await sample(transport, name: name, tokens: tokens, window: window) }
        }
        let seconds = try await learner.value
        for member in members { try await member.value }
        await transport.close()
        return Result(trajectories: trajectories, seconds: seconds, byteCount: 4 + 8 * tokens)
    }

    /// Plays the learner until so many tokens are booked; returns the seconds since the first grant.
    private static func serve(
        _ start: Exchange, _ transport: ZeroMQTransport, tokens: UInt64
    ) async throws -> Double {
        var exchange = start
        let origin = ContinuousClock.now
        var begun: ContinuousClock.Instant?
        func perform(_ actions: [Exchange.Action]) throws {
            for case .send(let message, let peer) in actions {
                if begun == nil, case .rolloutGrant = message { begun = .now }
                try transport.send(message, to: peer)
            }
        }
        for await event in transport.events {
            let now = ContinuousClock.now - origin
            switch event {
            case .message(let message, let peer): try perform(exchange.receive(message, from: peer, now: now))
            case .undeliverable(let message, let peer):
                try perform(exchange.undeliverable(message, to: peer, now: now))
            }
            if exchange.ledger.counts.generated == tokens { break }
        }
        let seconds = (ContinuousClock.now - (begun ?? origin)) / .seconds(1)
        try perform(exchange.finish(reason: "done"))
        return seconds
    }

    /// Plays a rollout worker whose responses cost nothing.
    private static func sample(
        _ transport: ZeroMQTransport, name: String, tokens: Int, window: Int
    ) async throws {
        try transport.send(
            .hello(
                Hello(
                    role: .rollout, name: name, incarnation: 1, hostID: "", modelFingerprint: "",
                    tokenizerFingerprint: "", slots: window, processID: 0)))
        let ids = [Int32](repeating: 7, count: tokens), logprobs = [Float](repeating: -1, count: tokens)
        let versions = [UInt64](repeating: 0, count: tokens)
        var epoch: UInt64 = 0
        for await event in transport.events {
            guard case .message(let message, _) = event else { continue }
            switch message {
            case .welcome(let welcome):
                epoch = welcome.epoch
                try transport.send(.leaseRequest(LeaseRequest(count: window, epoch: epoch)))
            case .rolloutGrant(let grant):
                for task in grant.tasks {
                    let trajectory = Trajectory(
                        id: task.id, kind: task.kind, teacher: task.teacher, promptIDs: task.promptIDs,
                        responseIDs: ids, behaviourLogprobs: logprobs, policyVersions: versions,
                        finishReason: .length, temperature: task.sampling.temperature)
                    try transport.send(.trajectories(Trajectories(trajectories: [trajectory], epoch: epoch)))
                }
            case .shutdown:
                await transport.close()
                return
            default: break
            }
        }
    }
}

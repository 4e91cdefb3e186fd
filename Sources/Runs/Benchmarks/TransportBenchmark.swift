import Distillation
import Exchange
import Logging
import Transport
import Wire

/// Trajectories through exchange and back over loopback TCP: granted, delivered, booked and acknowledged.
///
/// Everything but models is real: sockets, codec, leases, ledger. Clients and learner share this process.
package enum TransportBenchmark {
    /// What was measured.
    package struct Result: Sendable {
        package var trajectories: Int
        /// Time from the first grant to the last trajectory booked, in the second of two rounds: as in a run, the
        /// ledger's memory is that of earlier trajectories.
        package var seconds: Double
        /// The same of the first round, in which the kernel has to find the memory for all of them.
        package var firstSeconds: Double
        /// Size of the arrays of one trajectory.
        package var byteCount: Int
    }

    /// - Parameters:
    ///   - clients: rollout workers, each with a connection of its own.
    ///   - byteCount: array bytes of one trajectory, at least 16; 8 a response token.
    ///   - window: trajectories that a client has under way.
    package static func run(
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
        let learner = Task { try await serve(plan, transport, tokens: UInt64(trajectories * tokens)) }
        let members = try (0..<clients).map { index in
            let name = "client-\(index)"
            let transport = try ZeroMQTransport.member(
                connect: transport.endpoint, identity: name, logger: logger)
            return Task { try await sample(transport, name: name, tokens: tokens, window: window) }
        }
        let (first, second) = try await learner.value
        for member in members { try await member.value }
        await transport.close()
        return Result(trajectories: trajectories, seconds: second, firstSeconds: first, byteCount: 8 * tokens)
    }

    /// Plays the learner twice until so many tokens are booked; returns the seconds since the first grant of each round.
    private static func serve(
        _ plan: RunPlan, _ transport: ZeroMQTransport, tokens: UInt64
    ) async throws -> (first: Double, second: Double) {
        var bursts = transport.events.bursts.makeAsyncIterator()
        var seconds: [Double] = []
        // The second is another learner to its members.
        for epoch: UInt64 in 1...2 {
            var exchange = Exchange(plan: plan, options: ExchangeOptions(runID: "bench"), epoch: epoch)
            let origin = ContinuousClock.now
            var begun: ContinuousClock.Instant?
            func perform(_ actions: [Exchange.Action]) throws {
                for case .send(let message, let peer) in actions {
                    if begun == nil, case .rolloutGrant = message { begun = .now }
                    try transport.send(message, to: peer)
                }
            }
            while exchange.ledger.counts.generated < tokens, let burst = await bursts.next() {
                try perform(exchange.receive(burst, now: ContinuousClock.now - origin))
            }
            seconds.append((ContinuousClock.now - (begun ?? origin)) / .seconds(1))
            if epoch == 2 {
                try perform(exchange.finish(reason: "done"))
            } else {
                for peer in exchange.peers(.rollout) {
                    try transport.send(.heartbeatReply(HeartbeatReply(epoch: epoch + 1, version: 0)), to: peer)
                }
            }
        }
        return (seconds[0], seconds[1])
    }

    /// Plays a rollout worker whose responses cost nothing.
    private static func sample(
        _ transport: ZeroMQTransport, name: String, tokens: Int, window: Int
    ) async throws {
        let hello = Message.hello(
            Hello(role: .rollout, name: name, tokenizerFingerprint: nil, processID: 0))
        try transport.send(hello)
        let ids = [Int32](repeating: 7, count: tokens), logprobs = [Float](repeating: -1, count: tokens)
        let versions = PolicyVersions(repeating: 0, count: tokens)
        var epoch: UInt64 = 0
        for await burst in transport.events.bursts {
            for case .message(let message, _) in burst {
                switch message {
                case .welcome(let welcome):
                    epoch = welcome.epoch
                    try transport.send(.leaseRequest(LeaseRequest(count: window, epoch: epoch)))
                case .rolloutGrant(let grant):
                    for task in grant.groups.flatMap(\.tasks) {
                        let result = RolloutResult(
                            id: task.id, kind: task.kind, responseIDs: ids, behaviourLogprobs: logprobs,
                            policyVersions: versions, finishReason: .length)
                        try transport.send(.trajectories(Trajectories(results: [result], epoch: epoch)))
                    }
                case .heartbeatReply(let reply) where reply.epoch != epoch: try transport.send(hello)
                case .shutdown:
                    await transport.close()
                    return
                default: break
                }
            }
        }
    }
}

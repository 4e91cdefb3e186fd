import Distillation
import Engines
import Logging
import Pipeline
import Transport
import Wire

/// New weights on their way from the learner to a worker of the same host that goes on sampling.
package enum WeightBenchmark {
    /// What was measured, of the best exchange.
    package struct Result: Sendable {
        package var byteCount: Int
        /// Writing the snapshot to shared memory and its checksum, before it is announced.
        package var publishSeconds: Double
        /// Time from the announcement to the first token that was sampled with the new weights.
        package var announceToTokenSeconds: Double
        /// The part of it that packs the matrices for the engine, which stops sampling.
        package var packSeconds: Double
        /// Tokens sampled with the old weights meanwhile.
        package var tokensMeanwhile: Int
        package var source: FetchedWeights.Source
    }

    /// One exchange of weights a version, of which the best times are returned.
    /// - Parameters:
    ///   - sequences: sampled at once while the weights come.
    ///   - sharedMemory: false sends chunks over loopback TCP, as to another host.
    package static func run(
        _ model: ModelReference, threads: Int, sequences: Int, versions: Int, sharedMemory: Bool,
        engines: EngineChoice = .standard, logger: Logger
    ) async throws -> Result {
        let factory = engines.factory(for: model)
        let trainer = try await factory.trainer(
            model,
            TrainerOptions(
                threads: threads, tokenBudget: 1,
                optimizer: AdamWSettings(beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, clipGradNorm: 1)))
        let sampler = try await factory.sampler(model, SamplerOptions(slots: sequences, threads: threads))
        let publisher = WeightPublisher(
            runID: "bench", directory: sharedMemory ? "/dev/shm" : nil, logger: logger)
        defer { publisher.close() }
        let learner = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", logger: logger)
        let worker = try ZeroMQTransport.member(connect: learner.endpoint, identity: "worker", logger: logger)
        let fetcher = WeightFetcher(expectedByteCount: sampler.weightByteCount, logger: logger) { request in
            try? worker.send(.weightsRequest(request))
        }
        let serving = Task {
            for await event in learner.events {
                guard case .message(.weightsRequest(let request), let peer) = event else { continue }
                for reply in publisher.replies(to: request) { try learner.send(reply, to: peer) }
            }
        }
        let receiving = Task {
            for await event in worker.events {
                switch event {
                case .message(.weightsAnnounce(let announce), _): await fetcher.receive(announce)
                case .message(.weightsChunk(let chunk), _): await fetcher.receive(chunk)
                default: break
                }
            }
        }
        // The learner knows a member by what it sends; any request will do.
        try worker.send(.weightsRequest(WeightsRequest(version: 0, firstChunk: 0, credit: 1)))

        var outcomes = fetcher.outcomes.makeAsyncIterator()
        var best: Result?
        for version in 1...UInt64(versions) {
            let start = ContinuousClock.now
            let place = publisher.place(for: trainer.weightManifest, version: version)
            try await trainer.writeWeights(to: place)
            let announce = publisher.announce(place)
            let publishSeconds = (ContinuousClock.now - start) / .seconds(1)
            let old = tasks(sequences, version: version - 1), new = tasks(sequences, version: version)
            try await sampler.submit(old)
            try await firstTokens(of: sampler)
            let announced = ContinuousClock.now
            try learner.send(.weightsAnnounce(announce), to: PeerID("worker"))
            let meanwhile = Task { try await slices(of: sampler) }
            guard case .fetched(let fetched)? = await outcomes.next() else {
                throw EngineError("the weights did not arrive")
            }
            await sampler.cancel(items(old))
            let tokens = try await meanwhile.value * sequences
            let packing = ContinuousClock.now
            try await sampler.replaceWeights(fetched.bytes, fetched.manifest, version: version)
            let packed = ContinuousClock.now
            try await sampler.submit(new)
            try await firstTokens(of: sampler)
            let result = Result(
                byteCount: announce.byteCount, publishSeconds: min(publishSeconds, best?.publishSeconds ?? .infinity),
                announceToTokenSeconds: (ContinuousClock.now - announced) / .seconds(1),
                packSeconds: (packed - packing) / .seconds(1), tokensMeanwhile: tokens, source: fetched.source)
            await sampler.cancel(items(new))
            _ = try await slices(of: sampler)
            // The first versions find their memory; later ones use it again.
            if result.announceToTokenSeconds < best?.announceToTokenSeconds ?? .infinity { best = result }
            best?.publishSeconds = result.publishSeconds
        }
        await fetcher.stop()
        await worker.close()
        await learner.close()
        _ = try await (serving.value, receiving.value)
        guard let best else { preconditionFailure("at least one version is exchanged") }
        return best
    }

    /// Returns when the sampler has drawn tokens.
    private static func firstTokens(of sampler: any RolloutBackend) async throws {
        for try await event in sampler.events {
            if case .cancelled = event { continue }
            return
        }
    }

    /// Returns how often the sampler has drawn tokens when its tasks are cancelled.
    private static func slices(of sampler: any RolloutBackend) async throws -> Int {
        var count = 0
        for try await event in sampler.events {
            if case .cancelled = event { break }
            count += 1
        }
        return count
    }

    private static func items(_ tasks: [RolloutTask]) -> Set<WorkItem> {
        Set(tasks.map { WorkItem(id: $0.id, kind: $0.kind) })
    }

    /// Responses that are longer than the measurement.
    private static func tasks(_ count: Int, version: UInt64) -> [RolloutTask] {
        (0..<count).map { index in
            RolloutTask(
                id: RolloutID(group: UInt64(index), sample: 0), kind: .train, promptIDs: [1, 2, 3],
                sampling: SamplingSettings(maxTokens: 1500, temperature: 1, topP: 1, topK: 0, stopTokenIDs: []),
                seed: 1, minimumVersion: version, leaseID: 1)
        }
    }
}

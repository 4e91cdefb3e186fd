import Compute
import Distillation
import Engines
import Locking
import Logging
import Models
import NativeEngine
import Pipeline
import Transport
import Wire

/// New weights on their way from the learner to a worker of the same host that goes on sampling.
package enum WeightBenchmark {
    package struct Result: Sendable {
        package var byteCount: Int
        /// Writing the snapshot to shared memory and its checksum, before it is announced.
        package var publishSeconds: Double
        /// From the announcement to the first token that was sampled with the new weights.
        package var announceToTokenSeconds: Double
        /// Of that, packing the matrices for the engine, which stops sampling.
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
        _ files: ModelFiles, type: ElementType, threads: Int, sequences: Int, versions: Int, sharedMemory: Bool,
        logger: Logger
    ) async throws -> Result {
        let weights = try trainedWeights(files, type: type, threads: threads)
        let sampler = try StudentSampler(files, type: type, slots: sequences, threads: threads)
        let publisher = WeightPublisher(
            runID: "bench", directory: sharedMemory ? "/dev/shm" : nil, logger: logger)
        defer { publisher.close() }
        let learner = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", logger: logger)
        let worker = try ZeroMQTransport.member(connect: learner.endpoint, identity: "worker", logger: logger)
        let fetcher = WeightFetcher(expectedByteCount: weights.byteCount, logger: logger) { request in
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
        try await sampler.submit(tasks(sequences, version: 0))
        _ = await sampler.advance()

        var outcomes = fetcher.outcomes.makeAsyncIterator()
        var best: Result?
        for version in 1...UInt64(versions) {
            let start = ContinuousClock.now
            let announce = publisher.publish(weights, version: version)
            let announced = ContinuousClock.now
            try learner.send(.weightsAnnounce(announce), to: PeerID("worker"))
            let sampling = Sampling(sampler)
            let meanwhile = Task { try await sampling.run() }
            guard case .fetched(let fetched)? = await outcomes.next() else {
                throw EngineError("the weights did not arrive")
            }
            sampling.stop()
            let tokens = try await meanwhile.value * sequences
            let packing = ContinuousClock.now
            try await sampler.replaceWeights(fetched.bytes, elementType: fetched.elementType, version: version)
            let packed = ContinuousClock.now
            _ = await sampler.advance()
            let result = Result(
                byteCount: weights.byteCount, publishSeconds: (announced - start) / .seconds(1),
                announceToTokenSeconds: (ContinuousClock.now - announced) / .seconds(1),
                packSeconds: (packed - packing) / .seconds(1), tokensMeanwhile: tokens, source: fetched.source)
            // The first versions find their memory; later ones use it again.
            let publishSeconds = min(result.publishSeconds, best?.publishSeconds ?? .infinity)
            if result.announceToTokenSeconds < best?.announceToTokenSeconds ?? .infinity { best = result }
            best?.publishSeconds = publishSeconds
        }
        await fetcher.stop()
        await worker.close()
        await learner.close()
        _ = try await (serving.value, receiving.value)
        guard let best else { preconditionFailure("at least one version is exchanged") }
        return best
    }

    /// Steps an engine until it is told to stop.
    private final class Sampling: Sendable {
        private let sampler: StudentSampler
        private let stopped = Locked(false)
        init(_ sampler: StudentSampler) { self.sampler = sampler }

        func stop() { stopped.withLock { $0 = true } }

        /// Steps taken.
        func run() async throws -> Int {
            var steps = 0
            while !stopped.withLock({ $0 }) {
                _ = await sampler.advance()
                steps += 1
            }
            return steps
        }
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

    /// What a trainer of these weights would send out.
    private static func trainedWeights(
        _ files: ModelFiles, type: ElementType, threads: Int
    ) throws -> TrainedWeights {
        let masters = try ParameterBuffer(reading: files)
        let layout = ParameterLayout(files.configuration, matrixType: type)
        let context = ComputeContext(threads: threads)
        return TrainedWeights(byteCount: layout.byteCount, elementType: type.rawValue) { memory in
            guard let base = memory.baseAddress else { return }
            ParameterBuffer(layout: layout, viewing: base, owner: masters).copy(from: masters, context: context)
        }
    }
}

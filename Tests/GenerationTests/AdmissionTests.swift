import Compute
import Distillation
import Generation
import Models
import Testing
import Transformers

private func request(_ id: UInt64, _ promptIDs: [Int32], _ maxTokens: Int) -> SampleRequest {
    SampleRequest(
        id: id, promptIDs: promptIDs, seed: 1, sample: UInt32(id),
        parameters: SamplingSettings(maxTokens: maxTokens))
}

@Suite struct RequestQueueTests {
    private func takeAll(_ queue: RequestQueue, atMost count: Int) -> [[UInt64]] {
        var queue = queue
        var taken: [[UInt64]] = []
        while queue.first != nil { taken.append(queue.takeFirst(atMost: count).requests.map(\.id)) }
        return taken
    }

    /// Equals come as they came.
    @Test func theLongestComeFirstAndNeighboursWithOnePromptTogether() {
        var queue = RequestQueue()
        queue.append([request(1, [1], 5), request(2, [1], 5), request(3, [2], 9), request(4, [1], 5)])
        queue.append([request(5, [3], 9), request(6, [4], 5), request(7, [4], 6)])
        #expect(queue.count == 7)
        #expect(takeAll(queue, atMost: 8) == [[3], [5], [7], [1, 2], [4], [6]])
        #expect(takeAll(queue, atMost: 1) == [[3], [5], [7], [1], [2], [4], [6]])
    }

    @Test func removed() {
        var queue = RequestQueue()
        queue.append([request(1, [1], 5), request(2, [1], 5), request(3, [2], 4)])
        queue.remove { $0.id != 2 }
        #expect(queue.count == 1)
        #expect(takeAll(queue, atMost: 8) == [[2]])
        queue.remove { _ in true }
        #expect(queue.first == nil)
    }
}

@Suite struct AdmissionTests {
    private static let configuration = ModelConfiguration(
        family: .llama, vocabularySize: 96, hiddenSize: 32, intermediateSize: 64, layerCount: 2, headCount: 4,
        keyValueHeadCount: 2, headDimension: 8, maxPositions: 512, tiedEmbeddings: true)

    static func parameters(_ factor: Float = 1) -> ParameterBuffer {
        let buffer = ParameterBuffer(layout: ParameterLayout(configuration, matrixType: .f32))
        for index in 0..<buffer.flat.count { buffer.flat.f32[index] = factor * Float(index * 7919 % 193 - 96) / 300 }
        return buffer
    }

    static func engine(
        slots: Int, renewsCaches: Bool = false
    ) -> (engine: GenerationEngine, model: LanguageModel) {
        let model = LanguageModel(
            configuration: configuration, parameters: parameters(), type: .f32, context: ComputeContext(threads: 1))
        return (GenerationEngine(model: model, slots: slots, renewsCaches: renewsCaches), model)
    }

    private func prompt(_ count: Int, changedAt: Int? = nil) -> [Int32] {
        (0..<count).map { Int32(($0 * 31 + ($0 == changedAt ? 1 : 0)) % 96) }
    }

    @Test(arguments: [1, 4, 5, 32])
    func noSlotStandsEmptyWhileARequestWaits(slots: Int) throws {
        let engine = Self.engine(slots: slots).engine
        var left = 0
        for (index, maxTokens) in [9, 3, 14, 1, 6].enumerated() {
            let ids = (0..<3).map { UInt64(index * 3 + $0) }
            try engine.submit(ids.map { request($0, [Int32(index)], maxTokens) })
            left += 3
        }
        while left > 0 {
            let finished = engine.step().count
            #expect(engine.activeCount + finished == min(slots, left))
            left -= finished
            #expect(engine.activeCount + engine.waitingCount == left)
        }
        #expect(engine.step().isEmpty)
    }

    /// Of 130 tokens two pages are full. The sample that runs keeps them and a third one.
    @Test(
        "a prompt continues what a running one has computed", arguments: [(130, nil, 1), (130, 100, 2), (140, nil, 1)])
    func sharing(count: Int, changedAt: Int?, more: Int) throws {
        let late = request(2, prompt(count, changedAt: changedAt), 20)
        let alone = Self.engine(slots: 2)
        try alone.engine.submit([late])
        let want = alone.engine.run()[0]

        let (engine, model) = Self.engine(slots: 2)
        try engine.submit([request(1, prompt(130), 40)])
        for _ in 0..<3 { _ = engine.step() }
        #expect(model.transformer.pool.pagesInUse == 3)
        try engine.submit([late])
        _ = engine.step()
        #expect(model.transformer.pool.pagesInUse == 3 + more)
        let got = engine.run().first { $0.id == 2 }
        #expect(got?.ids == want.ids)
        #expect(got?.logprobs.map(\.bitPattern) == want.logprobs.map(\.bitPattern))
        #expect(model.transformer.pool.pagesInUse == 0)
    }

    @Test func whatOlderWeightsHaveComputedIsNotContinuedEvenUnderTheSameVersion() throws {
        let alone = Self.engine(slots: 2)
        let weights = Self.parameters(-0.5)
        alone.model.replaceWeights(weights.bytes, owner: weights)
        let late = request(2, prompt(130), 20)
        try alone.engine.submit([late])
        let want = alone.engine.run()[0]

        let (engine, model) = Self.engine(slots: 2)
        try engine.submit([request(1, prompt(130), 40)])
        _ = engine.step()
        engine.replaceWeights(weights.bytes, owner: weights, version: 0)
        try engine.submit([late])
        _ = engine.step()
        #expect(model.transformer.pool.pagesInUse == 6)
        let got = engine.run().first { $0.id == 2 }
        #expect(got?.ids == want.ids)
        #expect(got?.logprobs.map(\.bitPattern) == want.logprobs.map(\.bitPattern))
    }
}

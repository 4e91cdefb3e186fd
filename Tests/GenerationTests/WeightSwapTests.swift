import Compute
import Distillation
import Generation
import Testing
import Tokens
import Transformers

/// New weights while sequences run.
@Suite struct WeightSwapTests {
    private static let prompts: [[Int32]] = [
        (0..<130).map { Int32($0 * 31 % 96) }, (0..<64).map { Int32($0 * 17 % 96) }, [5],
    ]

    /// Seven samples of three prompts, of which five run when the weights change, after so many tokens.
    private static func samples(renewsCaches: Bool, after tokens: Int) throws -> (
        completed: [CompletedSample], requests: [SampleRequest], model: LanguageModel
    ) {
        let (engine, model) = AdmissionTests.engine(slots: 5, renewsCaches: renewsCaches)
        let requests = (0..<7).map { index in
            SampleRequest(
                id: UInt64(index), promptIDs: prompts[index / 3], seed: 1, sample: UInt32(index),
                parameters: SamplingSettings(maxTokens: 40))
        }
        try engine.submit(requests)
        for _ in 0..<tokens { _ = engine.step() }
        let weights = AdmissionTests.parameters(-0.5)
        engine.replaceWeights(weights.bytes, owner: weights, version: 1)
        let completed = engine.run().sorted { $0.id < $1.id }
        #expect(completed.count == 7 && model.transformer.pool.pagesInUse == 0)
        return (completed, requests, model)
    }

    /// Tokens of the new version whose log-probability is not the one that the new weights give them, and their number.
    private static func deviations(renewsCaches: Bool, after tokens: Int) throws -> (count: Int, of: Int) {
        let (completed, requests, model) = try samples(renewsCaches: renewsCaches, after: tokens)
        let scores = try ScoringEngine(model: model).score(
            zip(completed, requests).map {
                TokenSequence(ids: $1.promptIDs + $0.ids, promptCount: $1.promptIDs.count)
            })
        var count = 0, total = 0
        for (sample, score) in zip(completed, scores) {
            for index in sample.ids.indices where sample.versions[index] == 1 {
                total += 1
                if sample.logprobs[index].bitPattern != score[index].bitPattern { count += 1 }
            }
        }
        return (count, total)
    }

    /// After the first token nothing of a response is in the cache, after 25 some pages are full.
    @Test(arguments: [1, 2, 25]) func renewedCachesGiveTheNewWeightsLogprobs(after tokens: Int) throws {
        let renewed = try Self.deviations(renewsCaches: true, after: tokens)
        #expect(renewed.of >= 5 * (40 - tokens) && renewed.count == 0, "\(renewed)")
        #expect(try Self.deviations(renewsCaches: false, after: tokens).count > 0)
    }

    /// The tokens before the change are those of a run without one.
    @Test func whatWasDrawnStays() throws {
        let (kept, _, _) = try Self.samples(renewsCaches: false, after: 10)
        let (renewed, _, _) = try Self.samples(renewsCaches: true, after: 10)
        for (kept, renewed) in zip(kept, renewed) {
            let count = kept.versions.count { $0 == 0 }
            #expect(renewed.versions.count { $0 == 0 } == count)
            #expect(renewed.ids.prefix(count) == kept.ids.prefix(count))
            #expect(renewed.logprobs.prefix(count) == kept.logprobs.prefix(count))
        }
    }

    /// Samples of one prompt share its pages again, and prompts that come later take them.
    @Test func renewedPromptsAreShared() throws {
        let (engine, model) = AdmissionTests.engine(slots: 4, renewsCaches: true)
        func request(_ id: UInt64) -> SampleRequest {
            SampleRequest(
                id: id, promptIDs: Self.prompts[0], seed: 1, sample: UInt32(id),
                parameters: SamplingSettings(maxTokens: 20))
        }
        try engine.submit([request(1), request(2), request(3)])
        _ = engine.step()
        // Two full pages that all share, and one of each.
        #expect(model.transformer.pool.pagesInUse == 5)
        let weights = AdmissionTests.parameters(-0.5)
        engine.replaceWeights(weights.bytes, owner: weights, version: 1)
        _ = engine.step()
        #expect(model.transformer.pool.pagesInUse == 5)
        try engine.submit([request(4)])
        _ = engine.step()
        #expect(model.transformer.pool.pagesInUse == 6)
    }
}

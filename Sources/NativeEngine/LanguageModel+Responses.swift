import Distillation
import Generation
import Models

extension LanguageModel {
    /// Samples responses outside the pipeline, with the random numbers of in-run evaluation. Blocks.
    /// - Parameters:
    ///   - prompts: each with its number, by which its random numbers are drawn.
    ///   - samples: of each prompt.
    ///   - seed: of the run.
    ///   - slots: sequences at once; changes no result.
    /// - Returns: the samples of every prompt, in order.
    package func responses(
        to prompts: [(number: Int, ids: [Int32])], samples: Int = 1, _ parameters: SamplingSettings, seed: UInt64,
        slots: Int
    ) throws -> [[CompletedSample]] {
        let engine = GenerationEngine(model: self, slots: slots)
        try engine.submit(
            prompts.enumerated().flatMap { place, prompt in
                (0..<samples).map { sample in
                    SampleRequest(
                        id: UInt64(place * samples + sample), promptIDs: prompt.ids,
                        seed: TaskSeed.evaluation(run: seed, prompt: prompt.number), stream: 0,
                        sample: UInt32(sample), parameters: parameters)
                }
            })
        let completed = engine.run().sorted { $0.id < $1.id }
        return prompts.indices.map { Array(completed[$0 * samples..<($0 + 1) * samples]) }
    }
}

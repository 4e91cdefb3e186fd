import Distillation
import Generation
import Models
import Rules
import Tokenizers
import Transformers

/// A model in this process, for a person who asks it something: no run, no members.
package final class NativeModel {
    private let model: LanguageModel

    /// Loads and packs the model.
    package init(_ files: ModelFiles, type: ElementType, threads: Int) throws {
        model = try LanguageModel(files, type: type, threads: threads)
    }

    package var vocabularySize: Int { model.configuration.vocabularySize }
    /// Longest sequence the model was made for, in tokens.
    package var contextLength: Int { model.contextLength }

    /// Samples one response.
    /// - Parameters:
    ///   - tokenizer: in which texts of `settings.stop` are found.
    ///   - onTokens: called with tokens as they are drawn.
    /// - Returns: nil only where the engine gave nothing.
    package func response(
        to promptIDs: [Int32], _ settings: SamplingSettings, seed: UInt64, tokenizer: Tokenizer,
        onTokens: ([Int32]) throws -> Void = { _ in }
    ) throws -> CompletedSample? {
        let engine = GenerationEngine(model: model, slots: 1, tokenizer: tokenizer)
        try engine.submit([SampleRequest(id: 0, promptIDs: promptIDs, seed: seed, sample: 0, parameters: settings)])
        var drawn: [Int32] = []
        engine.onToken = { drawn.append($0.token) }
        var completed: [CompletedSample] = []
        while engine.activeCount + engine.waitingCount > 0 {
            completed += engine.step()
            try onTokens(drawn)
            drawn.removeAll()
        }
        return completed.first
    }

    /// Log-probabilities of all ids of each text but the first, at temperature 1.
    package func score(_ texts: [[Int32]]) throws -> [[Float]] { try ScoringEngine(model: model).score(texts) }
}

import Distillation
import Transformers

extension SampleRequest {
    /// - Throws: `GenerationError` when the prompt is empty, holds an id outside the vocabulary, or leaves no room in the
    ///   context, and for settings that cannot be met.
    func check(for model: LanguageModel, hasTokenizer: Bool) throws {
        let vocabulary = Int32(model.configuration.vocabularySize)
        guard !promptIDs.isEmpty else { throw GenerationError("the prompt is empty; give at least one token") }
        if let bad = promptIDs.first(where: { $0 < 0 || $0 >= vocabulary }) {
            throw GenerationError("the prompt holds token id \(bad), outside the vocabulary of \(vocabulary)")
        }
        guard parameters.minTokens == 0 || parameters.stopTokenIDs.count < vocabulary else {
            throw GenerationError("every token of the vocabulary ends a response, so none has a least length")
        }
        guard hasTokenizer || parameters.stop.isEmpty else {
            throw GenerationError("stop texts need the model's tokenizer, which this engine was not given")
        }
        let needed = promptIDs.count + parameters.maxTokens
        guard needed <= model.contextLength else {
            throw GenerationError(
                "a prompt of \(promptIDs.count) tokens with \(parameters.maxTokens) new ones needs "
                    + "\(needed) positions, but the model's context is \(model.contextLength); shorten one of them")
        }
    }
}

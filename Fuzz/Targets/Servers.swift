import Distillation
import ServerEngine
import Tokenizers

extension FuzzTarget {
    /// Answers of servers, as both dialects read them: what is taken is about the ids that were asked about.
    static let server = FuzzTarget(name: "server") { bytes in
        let ids: [Int32] = [504, 1768, 9001]
        let order = SampleOrder(
            model: "m", promptIDs: ids, settings: SamplingSettings(maxTokens: 3, stopTokenIDs: [2]), seed: 1,
            vocabularySize: 10_000)
        var texts = order
        texts.settings.stop = ["END", "\n"]
        texts.settings.minTokens = 1
        texts.tokenizer = try? Tokenizer(.bytes(specialTokens: []), file: "bytes")
        for dialect in [VLLMDialect(), SGLangDialect()] as [any ServerDialect] {
            if let scores = try? dialect.scores(in: bytes, of: ids) {
                guard scores.count == ids.count - 1, scores.allSatisfy({ $0 <= 0 }) else {
                    throw BrokenPromise("every id but the first has a log-probability of at most 0")
                }
            }
            let request = GradeRequest.top(2, below: 10_000)
            if let top = try? dialect.grade(in: bytes, of: ids, promptCount: 1, request).top {
                guard top.areFinite, top.flaw(positions: 2, count: 2, vocabularySize: 10_000) == nil else {
                    throw BrokenPromise("the tokens listed at a position are a distribution over the vocabulary")
                }
            }
            if let sample = try? dialect.sample(in: bytes, of: texts), sample.ids.count != sample.logprobs.count {
                throw BrokenPromise("a response that a text ended has a log-probability for every id")
            }
            guard let sample = try? dialect.sample(in: bytes, of: order) else { continue }
            guard sample.ids.count == sample.logprobs.count, (1...3).contains(sample.ids.count),
                sample.logprobs.areFinite, sample.ids.areTokens(vocabularySize: 10_000)
            else { throw BrokenPromise("a response has ids of the model, each with a log-probability") }
        }
        if let models = try? ServedModel.all(in: bytes), models.isEmpty {
            throw BrokenPromise("a server that lists models has one")
        }
        _ = try? ServedModel.tokens(in: bytes, textByteCount: 10)
    }
}

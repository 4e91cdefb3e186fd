import Distillation
import Tokenizers

extension SampleOrder {
    /// Texts that the server is told to end at.
    ///
    /// Servers keep the model's own end tokens from being drawn for the first `minTokens`, also where they end nothing.
    /// So where no token ends a response they are told of no least length, nor of texts: those are found here.
    var toldTexts: [String] { settings.minTokens > 0 && settings.stopTokenIDs.isEmpty ? [] : settings.stop }

    /// First tokens that the server is told to let end nothing.
    var toldMinTokens: Int { settings.stopTokenIDs.isEmpty ? 0 : min(settings.minTokens, settings.maxTokens) }
}

extension AnswerReading {
    /// A response to what was ordered, which ends where its own tokens say.
    ///
    /// A server may give more tokens than complete a stop text: it looks at texts later than it draws tokens.
    static func ended(_ response: SampledResponse, of order: SampleOrder) throws(AnswerFlaw) -> SampledResponse {
        let ids = response.ids, settings = order.settings
        guard ids.count == response.logprobs.count else {
            throw AnswerFlaw("there are \(response.logprobs.count) log-probabilities for \(ids.count) tokens")
        }
        guard let last = ids.last, ids.count <= settings.maxTokens else {
            throw AnswerFlaw("there are \(ids.count) tokens where 1 to \(settings.maxTokens) were asked for")
        }
        guard !ids.prefix(settings.minTokens).contains(where: settings.stopTokenIDs.contains) else {
            throw AnswerFlaw("a stop token was drawn among the first \(settings.minTokens) tokens")
        }
        if let count = try lengthAtText(ids, order) {
            return SampledResponse(
                ids: Array(ids.prefix(count)), logprobs: Array(response.logprobs.prefix(count)), finishReason: .stop)
        }
        guard !ids.dropLast().contains(where: settings.stopTokenIDs.contains) else {
            throw AnswerFlaw("the response goes on after a stop token")
        }
        switch response.finishReason {
        case .stop:
            guard settings.stopTokenIDs.contains(last) else {
                let texts = settings.stop.isEmpty ? "" : ", and spells none of its stop texts"
                throw AnswerFlaw(
                    "the response ended with token \(last), which is none of this run's stop tokens\(texts); "
                        + "start the server with the student's own generation_config.json")
            }
        case .length:
            guard ids.count == settings.maxTokens else {
                throw AnswerFlaw("the response was cut at \(ids.count) of \(settings.maxTokens) tokens")
            }
            guard !settings.stopTokenIDs.contains(last) else {
                throw AnswerFlaw("the response ended with a stop token unknowingly")
            }
        case .turns, .environment: throw AnswerFlaw("the response ended as an episode does")
        }
        return response
    }

    /// Tokens up to the one that completes a stop text; nil where none does before a stop token ends the response.
    private static func lengthAtText(_ ids: [Int32], _ order: SampleOrder) throws(AnswerFlaw) -> Int? {
        guard !order.settings.stop.isEmpty else { return nil }
        guard let tokenizer = order.tokenizer, var texts = StopTextMatcher(order.settings.stop, tokenizer) else {
            throw AnswerFlaw("stop texts cannot be found without a tokenizer")
        }
        for (place, id) in ids.enumerated() {
            let isComplete = texts.append(id)
            if isComplete, place >= order.settings.minTokens { return place + 1 }
            if order.settings.stopTokenIDs.contains(id) { return nil }
        }
        return nil
    }
}

import Distillation
import Tokenizers

/// How one kind of server is spoken to: requests as they are written, answers as they are read. Nothing here knows of
/// sockets or time.
///
/// Every reader checks all of an answer: a server that answers in time with wrong numbers is worse than one that is down.
package protocol ServerDialect: Sendable {
    /// Most tokens of whose probability such a server tells at every position beside the given one; 0: none.
    var mostTopTokens: Int { get }

    /// Asks for the log-probability of every id but the first.
    /// - Parameter top: most probable tokens whose log-probabilities are asked for at every position, at most
    ///   `mostTopTokens`.
    func scoring(_ ids: [Int32], model: String, top: Int) -> ServerRequest

    /// Reads what `scoring` asked for.
    /// - Returns: log-probabilities in nats of `ids[1...]`, each given what is before it, at temperature 1; minus
    ///   infinity where the model holds a token for impossible.
    func scores(in body: [UInt8], of ids: [Int32]) throws(AnswerFlaw) -> [Float]

    /// Reads what `scoring` asked for of a response, with the most probable tokens.
    /// - Parameter promptCount: the ids before the response, at least 1.
    func grade(
        in body: [UInt8], of ids: [Int32], promptCount: Int, _ request: GradeRequest
    ) throws(AnswerFlaw) -> Grade

    /// Why a server of this kind cannot sample so exactly; nil where it can.
    func refusal(of settings: SamplingSettings) -> String?

    /// Asks for one response.
    func sampling(_ sample: SampleOrder) -> ServerRequest

    /// Reads what `sampling` asked for.
    func sample(in body: [UInt8], of order: SampleOrder) throws(AnswerFlaw) -> SampledResponse

    /// Asks the server to take adapters from a folder in peft's form, under a name of their own.
    func loadAdapter(named name: String, from folder: String) -> ServerRequest

    /// Asks the server to forget adapters.
    func unloadAdapter(named name: String) -> ServerRequest

    /// Asks the server to take all weights from a Hugging Face folder.
    func replaceWeights(from folder: String, version: UInt64) -> WeightReplacement
}

extension ServerDialect {
    package var mostTopTokens: Int { 0 }

    package func scoring(_ ids: [Int32], model: String) -> ServerRequest { scoring(ids, model: model, top: 0) }

    package func grade(
        in body: [UInt8], of ids: [Int32], promptCount: Int, _ request: GradeRequest
    ) throws(AnswerFlaw) -> Grade {
        guard request == .sampled else { throw AnswerFlaw("it is not known how such a server tells of other tokens") }
        return Grade(logprobs: Array(try scores(in: body, of: ids).dropFirst(promptCount - 1)))
    }

    /// Asks what the server holds.
    package var listing: ServerRequest { ServerRequest(.get, "/v1/models") }

    /// Asks for the ids of a text, without any that a tokenizer puts around it.
    package func tokenizing(_ text: String, model: String) -> ServerRequest {
        ServerRequest(
            .post, "/tokenize",
            ["model": .string(model), "prompt": .string(text), "add_special_tokens": false])
    }
}

/// One response to sample.
package struct SampleOrder: Sendable {
    /// The name under which the server knows the model, or the adapters.
    package var model: String
    /// The adapters' name where it is not that of the model; nil: the model as it is.
    package var adapter: String?
    package var promptIDs: [Int32]
    package var settings: SamplingSettings
    /// The seed of this response alone: servers with the same one give replicas the same samples.
    package var seed: UInt64
    /// Keeps prompts that were read with other weights from being taken for this one's; nil where nothing changes.
    package var cacheSalt: String?
    /// Ids are below this.
    package var vocabularySize: Int
    /// The model's, by which stop texts are found; nil where there are none.
    package var tokenizer: Tokenizer?

    package init(
        model: String, adapter: String? = nil, promptIDs: [Int32], settings: SamplingSettings, seed: UInt64,
        cacheSalt: String? = nil, vocabularySize: Int, tokenizer: Tokenizer? = nil
    ) {
        self.model = model
        self.adapter = adapter
        self.promptIDs = promptIDs
        self.settings = settings
        self.seed = seed
        self.cacheSalt = cacheSalt
        self.vocabularySize = vocabularySize
        self.tokenizer = tokenizer
    }
}

/// A response as a server gave it, checked.
package struct SampledResponse: Sendable, Equatable {
    /// The stop token included.
    package var ids: [Int32]
    /// Log-probabilities in nats, one an id.
    package var logprobs: [Float]
    package var finishReason: FinishReason

    package init(ids: [Int32], logprobs: [Float], finishReason: FinishReason) {
        self.ids = ids
        self.logprobs = logprobs
        self.finishReason = finishReason
    }
}

/// What a server is asked so that it takes new weights, in order.
package struct WeightReplacement: Sendable, Equatable {
    package var replacing: [ServerRequest]
    /// Asked at the end whatever became of the others, or the server would wait for ever.
    package var ending: [ServerRequest]

    package init(replacing: [ServerRequest], ending: [ServerRequest] = []) {
        self.replacing = replacing
        self.ending = ending
    }
}

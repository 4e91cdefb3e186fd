import Distillation
import JSON

/// vLLM: its completions, which take and give ids, and the endpoints of its development mode for new weights.
package struct VLLMDialect: ServerDialect {
    package init() {}

    package var mostTopTokens: Int { TopTokens.mostTokens }

    package func scoring(_ ids: [Int32], model: String, top: Int) -> ServerRequest {
        // One token is sampled, because none is refused; so a sequence that fills the context does not fit.
        ServerRequest(
            .post, "/v1/completions",
            [
                "model": .string(model), "prompt": JSONValue(ids), "max_tokens": 1, "temperature": 1,
                "prompt_logprobs": .integer(top), "return_token_ids": true, "add_special_tokens": false,
                "stream": false,
            ])
    }

    package func scores(in body: [UInt8], of ids: [Int32]) throws(AnswerFlaw) -> [Float] {
        try read(body, of: ids, top: 0).logprobs
    }

    package func grade(
        in body: [UInt8], of ids: [Int32], promptCount: Int, _ request: GradeRequest
    ) throws(AnswerFlaw) -> Grade {
        let (elements, logprobs) = try read(body, of: ids, top: request.topCount)
        var grade = Grade(logprobs: Array(logprobs.dropFirst(promptCount - 1)))
        guard case .top(let count, let bound) = request else { return grade }
        var listed = ListedTokens(count: count, below: bound)
        for place in promptCount..<max(promptCount, ids.count) {
            try listed.append(elements[place], given: ids[place], at: place)
        }
        grade.top = listed.tokens
        return grade
    }

    /// The elements of an answer, one an id, and the log-probabilities of all ids but the first.
    private func read(
        _ body: [UInt8], of ids: [Int32], top: Int
    ) throws(AnswerFlaw) -> (elements: [JSONValue], logprobs: [Float]) {
        let choice = try AnswerReading.only(
            AnswerReading.json(body, tokens: ids.count, listed: top)["choices"], "choices")
        try check(choice["prompt_token_ids"], are: ids)
        guard let elements = choice["prompt_logprobs"]?.array else {
            throw AnswerFlaw("there are no prompt log-probabilities")
        }
        guard elements.count == ids.count else {
            throw AnswerFlaw("there are \(elements.count) prompt log-probabilities for \(ids.count) tokens")
        }
        guard let first = elements.first, first.isNull else {
            throw AnswerFlaw("the first token has a log-probability, which only a shifted answer has")
        }
        var logprobs: [Float] = []
        logprobs.reserveCapacity(ids.count)
        for place in 1..<max(1, ids.count) {
            // The entry is found by the token's own id: with more than one their order means nothing.
            guard let entry = elements[place][String(ids[place])] else {
                throw AnswerFlaw("token \(place), id \(ids[place]), has no log-probability")
            }
            logprobs.append(try AnswerReading.given(entry["logprob"], at: place))
        }
        try AnswerReading.check(scores: logprobs)
        return (elements, logprobs)
    }

    package func refusal(of settings: SamplingSettings) -> String? { nil }

    package func sampling(_ order: SampleOrder) -> ServerRequest {
        let settings = order.settings
        // Every field that changes what is sampled: the server fills absent ones from the model's own settings.
        var body: JSONObject = [
            "model": .string(order.adapter ?? order.model), "prompt": JSONValue(order.promptIDs),
            "max_tokens": .integer(settings.maxTokens), "min_tokens": .integer(order.toldMinTokens), "n": 1,
            "temperature": .number(Double(settings.temperature)), "top_p": .number(Double(settings.topP)),
            "top_k": .integer(settings.topK > 0 ? settings.topK : -1), "min_p": 0, "repetition_penalty": 1,
            "presence_penalty": 0, "frequency_penalty": 0, "seed": .integer(Int(order.seed >> 11)),
            // Only these end a response: the model's own end is among them, or not wanted.
            "stop_token_ids": JSONValue(settings.stopTokenIDs), "ignore_eos": true, "logprobs": 0,
            "return_token_ids": true, "skip_special_tokens": false, "add_special_tokens": false, "stream": false,
        ]
        if !order.toldTexts.isEmpty { body["stop"] = .array(order.toldTexts.map(JSONValue.string)) }
        if let salt = order.cacheSalt { body["cache_salt"] = .string(salt) }
        return ServerRequest(.post, "/v1/completions", .object(body))
    }

    package func sample(in body: [UInt8], of order: SampleOrder) throws(AnswerFlaw) -> SampledResponse {
        let choice = try AnswerReading.only(
            AnswerReading.json(body, tokens: order.promptIDs.count + order.settings.maxTokens)["choices"], "choices")
        try check(choice["prompt_token_ids"], are: order.promptIDs)
        let ids = try AnswerReading.ids(choice["token_ids"], vocabularySize: order.vocabularySize)
        guard let values = choice["logprobs"]?["token_logprobs"]?.array else {
            throw AnswerFlaw("there are no log-probabilities")
        }
        var logprobs: [Float] = []
        for (place, value) in values.enumerated() { logprobs.append(try AnswerReading.sampled(value, at: place)) }
        let response = SampledResponse(
            ids: ids, logprobs: logprobs, finishReason: try AnswerReading.finishReason(choice["finish_reason"]?.string))
        return try AnswerReading.ended(response, of: order)
    }

    package func loadAdapter(named name: String, from folder: String) -> ServerRequest {
        ServerRequest(.post, "/v1/load_lora_adapter", ["lora_name": .string(name), "lora_path": .string(folder)])
    }

    package func unloadAdapter(named name: String) -> ServerRequest {
        ServerRequest(.post, "/v1/unload_lora_adapter", ["lora_name": .string(name)])
    }

    package func replaceWeights(from folder: String, version: UInt64) -> WeightReplacement {
        WeightReplacement(
            replacing: [
                ServerRequest(.post, "/pause?mode=keep"),
                ServerRequest(
                    .post, "/collective_rpc",
                    ["method": "reload_weights", "kwargs": ["weights_path": .string(folder)]]),
                // Prompts that were read with the old weights.
                ServerRequest(.post, "/reset_prefix_cache"),
            ], ending: [ServerRequest(.post, "/resume")])
    }

    /// A server that tells which prompt it read tells the one it was given.
    private func check(_ value: JSONValue?, are ids: [Int32]) throws(AnswerFlaw) {
        guard let value, !value.isNull else { return }
        guard value == JSONValue(ids) else { throw AnswerFlaw("the answer is about another prompt") }
    }
}

import Distillation
import JSON

/// SGLang: its own `/generate`, which takes and gives ids, and its one call for new weights.
package struct SGLangDialect: ServerDialect {
    package init() {}

    package func scoring(_ ids: [Int32], model: String, top: Int) -> ServerRequest {
        ServerRequest(
            .post, "/generate",
            [
                "input_ids": JSONValue(ids), "sampling_params": ["temperature": 1, "max_new_tokens": 0],
                "return_logprob": true, "logprob_start_len": 0, "stream": false,
            ])
    }

    package func scores(in body: [UInt8], of ids: [Int32]) throws(AnswerFlaw) -> [Float] {
        let answer = try AnswerReading.json(body, tokens: ids.count)
        guard let elements = answer["meta_info"]?["input_token_logprobs"]?.array else {
            throw AnswerFlaw("there are no input log-probabilities")
        }
        guard elements.count == ids.count else {
            throw AnswerFlaw("there are \(elements.count) input log-probabilities for \(ids.count) tokens")
        }
        var logprobs: [Float] = []
        logprobs.reserveCapacity(ids.count)
        for (place, element) in elements.enumerated() {
            let (value, id) = try Self.pair(element, at: place)
            guard id == ids[place] else {
                throw AnswerFlaw("token \(place) has id \(id) where \(ids[place]) was given")
            }
            guard place > 0 else {
                guard value.isNull else {
                    throw AnswerFlaw("the first token has a log-probability, which only a shifted answer has")
                }
                continue
            }
            logprobs.append(try AnswerReading.given(value, at: place))
        }
        try AnswerReading.check(scores: logprobs)
        return logprobs
    }

    package func refusal(of settings: SamplingSettings) -> String? {
        guard settings.minTokens > 0, !settings.stopTokenIDs.isEmpty else { return nil }
        return "keeps end tokens out of the log-probabilities that it reports, so sampling.min_tokens must be 0; "
            + "or give sampling.ignore_eos"
    }

    package func sampling(_ order: SampleOrder) -> ServerRequest {
        let settings = order.settings
        var parameters: JSONObject = [
            "max_new_tokens": .integer(settings.maxTokens), "min_new_tokens": 0, "n": 1,
            "temperature": .number(Double(settings.temperature)), "top_p": .number(Double(settings.topP)),
            "top_k": .integer(settings.topK > 0 ? settings.topK : -1), "min_p": 0, "repetition_penalty": 1,
            "presence_penalty": 0, "frequency_penalty": 0, "sampling_seed": .integer(Int(order.seed >> 11)),
            // Here `ignore_eos` makes it ignore all stop tokens, and without it the model's own end is always one.
            "stop_token_ids": JSONValue(settings.stopTokenIDs), "ignore_eos": .bool(settings.stopTokenIDs.isEmpty),
            "no_stop_trim": true, "skip_special_tokens": false,
        ]
        if !order.toldTexts.isEmpty { parameters["stop"] = .array(order.toldTexts.map(JSONValue.string)) }
        var body: JSONObject = [
            "input_ids": JSONValue(order.promptIDs),
            "sampling_params": .object(parameters), "return_logprob": true, "logprob_start_len": -1, "stream": false,
        ]
        if let adapter = order.adapter { body["lora_path"] = .string(adapter) }
        return ServerRequest(.post, "/generate", .object(body))
    }

    package func sample(in body: [UInt8], of order: SampleOrder) throws(AnswerFlaw) -> SampledResponse {
        let answer = try AnswerReading.json(body, tokens: order.promptIDs.count + order.settings.maxTokens)
        let about = answer["meta_info"]
        if let count = about?["prompt_tokens"]?.int, count != order.promptIDs.count {
            throw AnswerFlaw("the answer is about a prompt of \(count) tokens, not \(order.promptIDs.count)")
        }
        guard let elements = about?["output_token_logprobs"]?.array else {
            throw AnswerFlaw("there are no output log-probabilities")
        }
        var ids: [Int32] = [], logprobs: [Float] = []
        for (place, element) in elements.enumerated() {
            let (value, _) = try Self.pair(element, at: place)
            ids.append(try AnswerReading.id(element.array?[1], vocabularySize: order.vocabularySize))
            logprobs.append(try AnswerReading.sampled(value, at: place))
        }
        if let own = answer["output_ids"], !own.isNull, own != JSONValue(ids) {
            throw AnswerFlaw("the log-probabilities are of other tokens than the response")
        }
        let response = SampledResponse(
            ids: ids, logprobs: logprobs,
            finishReason: try AnswerReading.finishReason(about?["finish_reason"]?["type"]?.string))
        return try AnswerReading.ended(response, of: order)
    }

    package func loadAdapter(named name: String, from folder: String) -> ServerRequest {
        ServerRequest(.post, "/load_lora_adapter", ["lora_name": .string(name), "lora_path": .string(folder)])
    }

    package func unloadAdapter(named name: String) -> ServerRequest {
        ServerRequest(.post, "/unload_lora_adapter", ["lora_name": .string(name)])
    }

    package func replaceWeights(from folder: String, version: UInt64) -> WeightReplacement {
        WeightReplacement(
            replacing: [
                ServerRequest(
                    .post, "/update_weights_from_disk",
                    ["model_path": .string(folder), "weight_version": .string("\(version)"), "flush_cache": true])
            ])
    }

    /// `[log-probability, id, text]`.
    private static func pair(
        _ element: JSONValue, at place: Int
    ) throws(AnswerFlaw) -> (logprob: JSONValue, id: Int32) {
        guard let parts = element.array, parts.count >= 2 else {
            throw AnswerFlaw("token \(place) has \(element.kindName) where a log-probability and an id belong")
        }
        return (parts[0], try AnswerReading.id(parts[1]))
    }
}

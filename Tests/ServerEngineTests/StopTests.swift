import Distillation
import JSON
import ServerEngine
import Testing
import Tokenizers

/// What ends a response of a server: what it is told, and what is made of its answer.
@Suite struct StopTests {
    private func order(
        max: Int = 6, stops: [Int32] = [], texts: [String] = [], min: Int = 0
    ) throws -> SampleOrder {
        SampleOrder(
            model: "m", promptIDs: [1, 2],
            settings: SamplingSettings(maxTokens: max, stopTokenIDs: stops, stop: texts, minTokens: min), seed: 7,
            vocabularySize: 256, tokenizer: try Tokenizer(.bytes(specialTokens: []), file: "bytes"))
    }

    /// An answer of both kinds of servers to the order.
    private func read(
        _ text: String, _ reason: String, _ order: SampleOrder
    ) throws -> (vllm: SampledResponse, sglang: SampledResponse) {
        let ids = text.utf8.map { Int32($0) }, logprobs = ids.indices.map { -Double($0 + 1) }
        let vllm = """
            {"choices": [{"text": "", "logprobs": {"token_logprobs": \(logprobs)}, "finish_reason": "\(reason)", \
            "token_ids": \(ids)}]}
            """
        let pairs = zip(logprobs, ids).map { "[\($0), \($1), null]" }.joined(separator: ", ")
        let sglang = """
            {"output_ids": \(ids), "meta_info": {"finish_reason": {"type": "\(reason)"}, "prompt_tokens": 2, \
            "output_token_logprobs": [\(pairs)]}}
            """
        return (
            try VLLMDialect().sample(in: Array(vllm.utf8), of: order),
            try SGLangDialect().sample(in: Array(sglang.utf8), of: order)
        )
    }

    @Test(arguments: [
        // Over two tokens; a server that gave more than the text needs, or called it a length; none at all.
        ("abEN", "stop", 4, FinishReason.stop), ("abENcd", "stop", 4, .stop), ("abcdEN", "length", 6, .stop),
        ("abcdef", "length", 6, .length), ("abZ", "stop", 3, .stop),
    ])
    func aResponseEndsAtATextOfItsOwn(text: String, reason: String, count: Int, finish: FinishReason) throws {
        let answers = try read(text, reason, order(stops: [90], texts: ["??", "EN"]))
        let ids = text.utf8.prefix(count).map { Int32($0) }
        for answer in [answers.vllm, answers.sglang] {
            #expect(answer.ids == ids && answer.finishReason == finish)
            #expect(answer.logprobs == ids.indices.map { -Float($0 + 1) })
        }
    }

    @Test(arguments: [
        // It ends though nothing ends it, goes on after an end, is too short, or ends too early.
        ("abE", "stop", 0), ("aZcEN", "stop", 0), ("abE", "length", 0), ("aZ", "stop", 2), ("EN", "stop", 2),
        ("ENab", "stop", 3),
    ])
    func wrongEndsAreRefused(text: String, reason: String, min: Int) throws {
        let order = try order(stops: [90], texts: ["EN"], min: min)
        #expect(throws: AnswerFlaw.self) { try read(text, reason, order) }
    }

    @Test func theFirstTokensEndNothing() throws {
        let answers = try read("ENabEN", "length", order(stops: [90], texts: ["EN"], min: 3))
        #expect(answers.vllm.ids.count == 6 && answers.vllm.finishReason == .stop)
    }

    @Test func serversAreToldWhatEndsAResponse() throws {
        let order = try order(stops: [90], texts: ["EN", "\n"], min: 3)
        let vllm = try JSONValue.parse(VLLMDialect().sampling(order).body ?? "")
        #expect(vllm["stop"] == ["EN", "\n"] && vllm["stop_token_ids"] == [90] && vllm["min_tokens"]?.int == 3)
        #expect(vllm["ignore_eos"]?.bool == true)
        #expect(VLLMDialect().refusal(of: order.settings) == nil)
        // Its log-probabilities are those of what is left after the mask.
        #expect(SGLangDialect().refusal(of: order.settings)?.contains("sampling.min_tokens") == true)
        #expect(LogprobMode.processed.refusal(of: order.settings)?.contains("sampling.min_tokens") == true)
        #expect(LogprobMode.raw.refusal(of: order.settings) == nil)
        let texts = try self.order(texts: ["EN"])
        let sglang = try JSONValue.parse(SGLangDialect().sampling(texts).body ?? "")["sampling_params"]
        #expect(sglang?["stop"] == ["EN"] && sglang?["ignore_eos"]?.bool == true)
        let own = try JSONValue.parse(SGLangDialect().sampling(self.order(stops: [90])).body ?? "")["sampling_params"]
        #expect(own?["stop"] == nil && own?["ignore_eos"]?.bool == false && own?["stop_token_ids"] == [90])
    }

    /// Servers keep the model's own end out of the first tokens also where the run lets it end nothing: so they are not
    /// asked to, and the text is found here.
    @Test func withoutEndTokensTextsAreFoundHere() throws {
        let order = try order(texts: ["EN"], min: 3)
        let vllm = try JSONValue.parse(VLLMDialect().sampling(order).body ?? "")
        #expect(vllm["stop"] == nil && vllm["min_tokens"]?.int == 0)
        let sglang = try JSONValue.parse(SGLangDialect().sampling(order).body ?? "")["sampling_params"]
        #expect(sglang?["stop"] == nil && sglang?["min_new_tokens"]?.int == 0)
        #expect(SGLangDialect().refusal(of: order.settings) == nil)
        let answers = try read("ENaENb", "length", order)
        #expect(answers.sglang.ids.count == 5 && answers.sglang.finishReason == .stop)
    }
}

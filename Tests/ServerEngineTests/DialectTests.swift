import Distillation
import Foundation
import JSON
import ServerEngine
import Testing

/// Requests as servers document them, and answers of servers, good and bad.
@Suite struct VLLMDialectTests {
    private let dialect = VLLMDialect()
    private let ids: [Int32] = [504, 1768, 9001]

    /// What vLLM 0.32 answered about these ids, shortened by what nobody reads.
    private func answer(_ logprobs: String, prompt: String = "[504, 1768, 9001]") -> [UInt8] {
        Array(
            """
            {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": [{"index": 0, "text": " a", \
            "logprobs": null, "finish_reason": "length", "stop_reason": null, "token_ids": [253], \
            "prompt_logprobs": \(logprobs), "prompt_token_ids": \(prompt)}], "usage": {"prompt_tokens": 3}}
            """.utf8)
    }

    private func entry(_ id: Int, _ logprob: String) -> String {
        "{\"\(id)\": {\"logprob\": \(logprob), \"rank\": 3, \"decoded_token\": \"x\"}}"
    }

    private func flaw(_ logprobs: String, prompt: String = "[504, 1768, 9001]") -> String? {
        do {
            _ = try dialect.scores(in: answer(logprobs, prompt: prompt), of: ids)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func readsTheGivenIdsWhereverTheyStand() throws {
        let good = "[null, \(entry(1768, "-1.5")), \(entry(9001, "-0.25"))]"
        #expect(try dialect.scores(in: answer(good), of: ids) == [-1.5, -0.25])
        // With k > 0 the most probable tokens stand there as well, and first.
        let others =
            "[null, {\"7\": {\"logprob\": -0.1}, \"1768\": {\"logprob\": -3.0}}, \(entry(9001, "-2"))]"
        #expect(try dialect.scores(in: answer(others), of: ids) == [-3, -2])
        // JSON has no infinity; rounding may lift a certain token above 0.
        let edges = "[null, \(entry(1768, "-9999.0")), \(entry(9001, "1e-7"))]"
        #expect(try dialect.scores(in: answer(edges), of: ids) == [-.infinity, 0])
    }

    @Test(arguments: [
        ("null", "no prompt log-probabilities"),
        ("[null, null, null]", "token 1"),
        ("[null, {\"1768\": {\"logprob\": -1}}]", "2 prompt log-probabilities for 3"),
        // Shifted by one, in either direction.
        ("[{\"1768\": {\"logprob\": -1}}, {\"9001\": {\"logprob\": -1}}, null]", "shifted"),
        ("[null, {\"504\": {\"logprob\": -1}}, {\"1768\": {\"logprob\": -1}}]", "token 1, id 1768"),
        ("[null, {\"1768\": {\"logprob\": null}}, {\"9001\": {\"logprob\": -1}}]", "null for a log-probability"),
        ("[null, {\"1768\": {\"logprob\": 0.5}}, {\"9001\": {\"logprob\": -1}}]", "0.5"),
        ("[null, {\"1768\": {\"logprob\": \"-1\"}}, {\"9001\": {\"logprob\": -1}}]", "a string"),
        ("[null, {\"1768\": {\"logprob\": 0}}, {\"9001\": {\"logprob\": 0}}]", "every log-probability is 0"),
        ("[null, {\"1768\": {\"logprob\": NaN}}, {\"9001\": {\"logprob\": -1}}]", "not valid JSON"),
    ])
    func refusesWrongScores(_ logprobs: String, _ reason: String) {
        #expect(flaw(logprobs)?.contains(reason) == true, "\(flaw(logprobs) ?? "taken")")
    }

    @Test func refusesAnotherPromptAndTruncatedAndForeignText() {
        let good = "[null, \(entry(1768, "-1.5")), \(entry(9001, "-0.25"))]"
        #expect(flaw(good, prompt: "[504, 1768]")?.contains("another prompt") == true)
        let whole = answer(good)
        for count in stride(from: 0, to: whole.count, by: 7) {
            #expect(throws: AnswerFlaw.self) { try dialect.scores(in: Array(whole[..<count]), of: ids) }
        }
        for text in ["<html>502</html>", "{}", "[]", "null", "{\"choices\": []}", "{\"choices\": [{}, {}]}"] {
            #expect(throws: AnswerFlaw.self, "\(text)") { try dialect.scores(in: Array(text.utf8), of: ids) }
        }
        // More values than three tokens can need.
        let long = "[null" + String(repeating: ",{\"1\":{\"logprob\":-1}}", count: 10_000) + "]"
        #expect(flaw(long)?.contains("more than") == true)
    }

    private func top(_ logprobs: String, promptCount: Int = 1) throws -> Grade {
        try dialect.grade(
            in: answer(logprobs), of: ids, promptCount: promptCount, .top(2, below: 9002))
    }

    /// An object has the asked-for tokens, and the given one where it is none of them.
    @Test func readsTheMostProbableTokens() throws {
        let first = "{\"1768\": {\"logprob\": -3.0}, \"7\": {\"logprob\": -0.5}, \"6\": {\"logprob\": -2.0}}"
        let second = "{\"9001\": {\"logprob\": -0.25}, \"12\": {\"logprob\": -4.0}}"
        let grade = try top("[null, \(first), \(second)]")
        #expect(grade.logprobs == [-3, -0.25])
        let listed = try #require(grade.top)
        #expect(listed.ids == [6, 7, 12, 9001] && listed.logprobs == [-2, -0.5, -4, -0.25])
        #expect(listed.flaw(positions: 2, count: 2, vocabularySize: 9002) == nil)
        #expect(abs(Double(listed.tails[0]) - log(1 - exp(-0.5) - exp(-2))) < 1e-6)
        #expect(try top("[null, \(first), \(second)]", promptCount: 2).top?.ids == [12, 9001])
        // Of a tail that is lost in rounding something is left.
        let sure = "{\"9001\": {\"logprob\": 0}, \"12\": {\"logprob\": -30.0}}"
        #expect(
            try top("[null, \(first), \(sure)]", promptCount: 2).top.map { abs($0.tails[0] - log(1e-6)) < 1e-3 } == true
        )
        let body = try JSONValue.parse(dialect.scoring(ids, model: "m", top: 2).body ?? "")
        #expect(body["prompt_logprobs"]?.int == 2)
    }

    @Test(arguments: [
        ("{\"9001\": {\"logprob\": -1}}", "1 listed tokens"),
        (
            "{\"9001\": {\"logprob\": -1}, \"1\": {\"logprob\": -2}, \"2\": {\"logprob\": -2}, \"3\": {\"logprob\": -2}}",
            "4 listed"
        ),
        ("{\"9001\": {\"logprob\": -1}, \"1\": {\"logprob\": -2}, \"2\": {\"logprob\": -2}}", "not the most probable"),
        ("{\"9001\": {\"logprob\": -1}, \"9002\": {\"logprob\": -2}}", "no id of the student's 9002"),
        ("{\"9001\": {\"logprob\": -1}, \"x\": {\"logprob\": -2}}", "'x'"),
        ("{\"9001\": {\"logprob\": -1}, \"1\": {\"logprob\": null}}", "null for a log-probability"),
        ("{\"9001\": {\"logprob\": -1}, \"1\": {\"logprob\": -9999}}", "impossible"),
        ("{\"9001\": {\"logprob\": -0.1}, \"1\": {\"logprob\": -0.1}}", "add up to"),
        ("{\"9001\": {\"logprob\": -1}, \"01\": {\"logprob\": -1}}", "'01'"),
    ])
    func refusesWrongListsOfTokens(_ element: String, _ reason: String) {
        let first = "{\"1768\": {\"logprob\": -1.0}, \"7\": {\"logprob\": -1}}"
        let flaw = #expect(throws: AnswerFlaw.self) { try top("[null, \(first), \(element)]") }
        #expect(flaw?.description.contains(reason) == true, "\(flaw?.description ?? "taken")")
    }

    @Test func asksForScoresAsDocumented() throws {
        let request = dialect.scoring(ids, model: "a\"b")
        #expect(request.path == "/v1/completions")
        let body = try JSONValue.parse(request.body ?? "")
        #expect(body["model"]?.string == "a\"b")
        #expect(body["prompt"] == [504, 1768, 9001])
        #expect(body["max_tokens"]?.int == 1)
        #expect(body["prompt_logprobs"]?.int == 0)
        #expect(body["temperature"]?.double == 1)
    }

    // MARK: Sampling

    private var order: SampleOrder {
        SampleOrder(
            model: "base", adapter: "policy-v3", promptIDs: [1, 2],
            settings: SamplingSettings(maxTokens: 3, temperature: 0.5, topP: 0.75, topK: 0, stopTokenIDs: [0, 2]),
            seed: .max, cacheSalt: "version-3", vocabularySize: 10)
    }

    private func sampled(
        ids: String = "[5, 6, 7]", logprobs: String = "[-1, -2.5, 0]", reason: String = "\"length\"",
        prompt: String = "[1, 2]"
    ) -> [UInt8] {
        Array(
            """
            {"id": "cmpl-2", "choices": [{"index": 0, "text": "x", "logprobs": {"token_logprobs": \(logprobs), \
            "tokens": ["a"], "top_logprobs": [null], "text_offset": [0]}, "finish_reason": \(reason), \
            "token_ids": \(ids), "prompt_token_ids": \(prompt)}]}
            """.utf8)
    }

    @Test func sendsEveryFieldThatChangesWhatIsSampled() throws {
        let body = try JSONValue.parse(dialect.sampling(order).body ?? "")
        #expect(body["model"]?.string == "policy-v3")
        for (name, value) in [
            "temperature": 0.5, "top_p": 0.75, "top_k": -1, "min_p": 0, "repetition_penalty": 1, "presence_penalty": 0,
            "frequency_penalty": 0, "max_tokens": 3, "min_tokens": 0, "n": 1, "logprobs": 0,
        ] {
            #expect(body[name]?.double == value, "\(name)")
        }
        #expect(body["stop_token_ids"] == [0, 2])
        #expect(body["ignore_eos"]?.bool == true)
        #expect(body["return_token_ids"]?.bool == true)
        #expect(body["cache_salt"]?.string == "version-3")
        // Exact in every JSON reader.
        #expect(body["seed"]?.int == (1 << 53) - 1)
    }

    @Test func readsResponses() throws {
        #expect(
            try dialect.sample(in: sampled(), of: order)
                == SampledResponse(ids: [5, 6, 7], logprobs: [-1, -2.5, 0], finishReason: .length))
        #expect(
            try dialect.sample(in: sampled(ids: "[2]", logprobs: "[-1]", reason: "\"stop\""), of: order)
                == SampledResponse(ids: [2], logprobs: [-1], finishReason: .stop))
    }

    @Test func refusesWrongResponses() {
        let wrong = [
            sampled(ids: "[5, 6]"), sampled(logprobs: "[-1, -2]"), sampled(logprobs: "[-1, null, -1]"),
            sampled(logprobs: "[-1, 0.1, -1]"), sampled(logprobs: "[-1, -9999, -1]"), sampled(ids: "[5, 6, 10]"),
            sampled(ids: "[5, 6, -1]"), sampled(ids: "[5, 6.5, 1]"), sampled(ids: "[]", logprobs: "[]"),
            // It ended for no reason of this run, went on after one, or was given up.
            sampled(reason: "\"stop\""), sampled(ids: "[5, 2, 7]"), sampled(ids: "[5, 6, 2]"),
            sampled(ids: "[5]", logprobs: "[-1]"), sampled(reason: "\"abort\""), sampled(reason: "null"),
            sampled(ids: "[5, 6, 7, 8]", logprobs: "[-1, -1, -1, -1]"), sampled(prompt: "[1]"),
        ]
        for body in wrong {
            #expect(throws: AnswerFlaw.self, "\(String(decoding: body, as: UTF8.self))") {
                try dialect.sample(in: body, of: order)
            }
        }
    }

    @Test func replacesWeightsInTheOrderThatHolds() throws {
        let steps = dialect.replaceWeights(from: "/dev/shm/x", version: 4)
        #expect(steps.replacing.map(\.path) == ["/pause?mode=keep", "/collective_rpc", "/reset_prefix_cache"])
        #expect(steps.ending.map(\.path) == ["/resume"])
        let body = try JSONValue.parse(steps.replacing[1].body ?? "")
        #expect(body["method"]?.string == "reload_weights")
        #expect(body["kwargs"]?["weights_path"]?.string == "/dev/shm/x")
    }
}

@Suite struct SGLangDialectTests {
    private let dialect = SGLangDialect()
    private let ids: [Int32] = [504, 1768, 9001]

    private func answer(_ logprobs: String) -> [UInt8] {
        Array(
            """
            {"text": "", "output_ids": [], "meta_info": {"id": "a", "finish_reason": {"type": "length", "length": 0}, \
            "prompt_tokens": 3, "weight_version": "default", "input_token_logprobs": \(logprobs), \
            "output_token_logprobs": [], "completion_tokens": 0, "cached_tokens": 0}}
            """.utf8)
    }

    @Test func readsScores() throws {
        let good = "[[null, 504, null], [-1.5, 1768, null], [-0.25, 9001, \"x\"]]"
        #expect(try dialect.scores(in: answer(good), of: ids) == [-1.5, -0.25])
        #expect(
            try JSONValue.parse(dialect.scoring(ids, model: "").body ?? "")["sampling_params"]?["max_new_tokens"]?.int
                == 0)
    }

    @Test(arguments: [
        "[[null, 504, null], [-1.5, 9001, null], [-0.25, 1768, null]]",
        "[[-1.5, 504, null], [-0.25, 1768, null], [null, 9001, null]]",
        "[[null, 504, null], [null, 1768, null], [null, 9001, null]]",
        "[[null, 504, null], [0, 1768, null], [0, 9001, null]]", "[[null, 504, null], [-1, 1768, null]]",
        "[[null, 504], [-1], [-2, 9001]]", "[null, [-1, 1768], [-2, 9001]]", "{}", "null",
        "[[null, 504, null], [NaN, 1768, null], [-1, 9001, null]]",
    ])
    func refusesWrongScores(_ logprobs: String) {
        #expect(throws: AnswerFlaw.self) { try dialect.scores(in: answer(logprobs), of: ids) }
    }

    private func sampled(_ logprobs: String, reason: String = "{\"type\": \"stop\", \"matched\": 2}") -> [UInt8] {
        Array(
            """
            {"text": "x", "output_ids": [5, 2], "meta_info": {"finish_reason": \(reason), "prompt_tokens": 2, \
            "output_token_logprobs": \(logprobs)}}
            """.utf8)
    }

    @Test func readsResponsesAndRefusesWrongOnes() throws {
        let order = SampleOrder(
            model: "m", adapter: "v1", promptIDs: [1, 2],
            settings: SamplingSettings(maxTokens: 4, temperature: 1, topP: 1, topK: 3, stopTokenIDs: [2]), seed: 7,
            vocabularySize: 10)
        #expect(
            try dialect.sample(in: sampled("[[-1, 5, null], [-0.5, 2, null]]"), of: order)
                == SampledResponse(ids: [5, 2], logprobs: [-1, -0.5], finishReason: .stop))
        for wrong in [
            "[[-1, 5, null]]", "[[-1, 6, null], [-0.5, 2, null]]", "[[null, 5, null], [-0.5, 2, null]]", "[]",
        ] {
            #expect(throws: AnswerFlaw.self) { try dialect.sample(in: sampled(wrong), of: order) }
        }
        let aborted = sampled("[[-1, 5, null], [-0.5, 2, null]]", reason: "{\"type\": \"abort\"}")
        #expect(throws: AnswerFlaw.self) { try dialect.sample(in: aborted, of: order) }
        let body = try JSONValue.parse(dialect.sampling(order).body ?? "")
        #expect(body["lora_path"]?.string == "v1")
        #expect(body["sampling_params"]?["top_k"]?.int == 3)
        let steps = dialect.replaceWeights(from: "/f", version: 9)
        #expect(steps.replacing.map(\.path) == ["/update_weights_from_disk"])
        #expect(try JSONValue.parse(steps.replacing[0].body ?? "")["weight_version"]?.string == "9")
    }
}

@Suite struct ServedModelTests {
    @Test func readsLists() throws {
        let list = """
            {"object": "list", "data": [{"id": "m", "object": "model", "root": "/m", "parent": null, "max_model_len": 2048},
            {"id": "opd-v1", "root": "/a", "parent": "m"}]}
            """
        #expect(
            try ServedModel.all(in: Array(list.utf8)) == [
                ServedModel(name: "m", contextLength: 2048), ServedModel(name: "opd-v1", parent: "m"),
            ])
        for wrong in [
            "{\"data\": []}", "{\"data\": [{}]}", "{\"data\": [{\"id\": \"m\", \"max_model_len\": -1}]}", "x",
        ] {
            #expect(throws: AnswerFlaw.self) { try ServedModel.all(in: Array(wrong.utf8)) }
        }
    }

    @Test func tellsWhatLogprobsAreOf() {
        #expect(LogprobMode(atOne: -1.5, atTwo: -1.5) == .raw)
        #expect(LogprobMode(atOne: 0, atTwo: -1e-6) == .processed)
        #expect(LogprobMode(atOne: -1.5, atTwo: -2.5) == .tempered)
        #expect(LogprobMode(atOne: -1.5, atTwo: -0.5) == nil)
        let plain = SamplingSettings(maxTokens: 1), warm = SamplingSettings(maxTokens: 1, temperature: 0.7)
        let cut = SamplingSettings(maxTokens: 1, topK: 5), greedy = SamplingSettings(maxTokens: 1, temperature: 0)
        #expect(LogprobMode.raw.refusal(of: plain) == nil)
        #expect(LogprobMode.raw.refusal(of: greedy) == nil)
        #expect(LogprobMode.raw.refusal(of: cut) == nil)
        #expect(LogprobMode.raw.refusal(of: warm)?.contains("processed_logprobs") == true)
        #expect(LogprobMode.processed.refusal(of: warm) == nil)
        #expect(LogprobMode.processed.refusal(of: cut) != nil)
        #expect(LogprobMode.tempered.refusal(of: warm) == nil)
    }
}

import Foundation
import JSON
import Testing
import Watch

@Suite struct SampleDigestTests {
    /// What the teacher would rather have written is shown at its token, and where the response leaves that.
    @Test func theTeachersChoicesAndForksAreShown() throws {
        let fixture = try RunFolderFixture()
        let choices = """
            , "teacher_top_ids": [[1, 9], [7, 2], []], "teacher_top_logprobs": [[-0.5, -1], [-0.25, -1.5], []], \
            "teacher_top_texts": {"1": "a", "7": "</script>", "9": ""}
            """
        // Ties are no fork; lists of another length, and what is no number, are not of this response.
        let tied = choices.replacing("-1.5", with: "-0.25")
        let broken = [
            choices.replacing("[7, 2], ", with: ""), choices.replacing("-1.5", with: "null"),
            // A number, but none that Float has.
            choices.replacing("-1.5", with: "-1e300"),
            choices.replacing("-1.5", with: "-1.5, -2"), choices.replacing("\"teacher_top_texts\"", with: "\"x\""),
        ]
        let lines = ([choices, tied] + broken).enumerated().map { index, extra in
            RunFolderFixture.sample(step: index + 1, extra: extra)
        }
        try fixture.write(lines.joined(), to: fixture.run.samples)
        let samples = try #require(try fixture.document()["samples"]?.array)
        #expect(samples.count == 7)
        let top = try #require(samples[0]["top"]?.array)
        #expect(top.map { $0.array?.count } == [4, 4, 0])
        // Of a token without a text its id stands there.
        #expect(top[0].array?[0].string == "a" && top[0].array?[1].double == -0.5 && top[0].array?[2].int == 9)
        #expect(top[1].array?[0].string == "</script>" && top[1].array?[2].int == 2)
        #expect(samples[0]["forks"]?.array?.compactMap(\.int) == [1])
        #expect(samples[1]["forks"]?.array?.isEmpty == true)
        for sample in samples.dropFirst(2) { #expect(sample["top"] == nil && sample["forks"] == nil) }
    }

    private func samples(_ text: String, bytes: Int = 1 << 20) throws -> (list: [JSONValue], document: JSONValue) {
        let fixture = try RunFolderFixture()
        try fixture.write(text, to: fixture.run.samples)
        var bounds = RunDigest.Bounds()
        bounds.sampleBytes = bytes
        let document = try fixture.document(bounds)
        return (document["samples"]?.array ?? [], document)
    }

    @Test func everyTokenHasItsTextAndItsNumbers() throws {
        // The second character comes with the third token.
        let line = RunFolderFixture.sample(
            step: 7, prompt: "a\n<b>", response: "aé<", ids: [5, 6, 7, 8], b: [-0.5, -1, -2, -0.125],
            t: [-1, -1, -0.5, -0.25], ends: [1, 1, 3, 4],
            extra: ", \"tags\": [\"x\"], \"reward\": 0.5, \"passed\": false")
        let sample = try #require(try samples(line).list.first)
        #expect(sample["pieces"]?.array?.compactMap(\.string) == ["a", "", "é", "<"])
        #expect(sample["b"]?.array?.compactMap(\.double) == [-0.5, -1, -2, -0.125])
        #expect(sample["t"]?.array?.compactMap(\.double) == [-1, -1, -0.5, -0.25])
        #expect(sample["divergence"]?.double == (0.5 + 0 - 1.5 + 0.125) / 4)
        #expect(sample["prompt"]?.string == "a\n<b>" && sample["version"] == 0 && sample["passed"] == false)
        #expect(sample["tags"]?.array?.first?.string == "x" && sample["response"] == nil)
    }

    @Test func whatTheStepMeasuredIsThere() throws {
        let extra = ", \"entropies\": [0.5, 0, 2.25], \"ratios\": [1, 1.0625, 0], \"advantages\": [-3, 0.5, null]"
        let sample = try #require(try samples(RunFolderFixture.sample(step: 1, extra: extra)).list.first)
        #expect(sample["h"]?.array?.compactMap(\.double) == [0.5, 0, 2.25])
        #expect(sample["r"]?.array?.compactMap(\.double) == [1, 1.0625, 0])
        #expect(sample["a"]?.array?.map(\.double) == [-3, 0.5, nil])
        // Lists of another length, and of no numbers, are not of this response; the response is there without them.
        for (name, list) in [("h", "[0.5, 0]"), ("h", "[]"), ("h", "[\"x\", 0, 0]"), ("h", "{}")] {
            let line = RunFolderFixture.sample(
                step: 1, extra: extra.replacing("\"entropies\": [0.5, 0, 2.25]", with: "\"entropies\": \(list)"))
            let sample = try #require(try samples(line).list.first)
            #expect(sample[name] == nil && sample["r"] != nil && sample["b"]?.array?.count == 3, "\(list)")
        }
    }

    @Test func whatAnEnvironmentSaidIsNoPartOfTheDivergence() throws {
        func sample(_ extra: String) throws -> JSONValue {
            let line = RunFolderFixture.sample(
                step: 7, response: "abcd", ids: [5, 6, 7, 8], b: [-0.5, 0, 0, -0.125], t: [-1, 0, 0, -0.25],
                ends: [1, 2, 3, 4], extra: extra)
            return try #require(try samples(line).list.first)
        }
        let episode = try sample(", \"environment\": [[1, 2]], \"sampled_tokens\": 2")
        #expect(episode["given"]?.array?.first?.array?.compactMap(\.int) == [1, 2])
        #expect(episode["divergence"]?.double == (0.5 + 0.125) / 2)
        for spans in [
            "[[1, 9]]", "[[-1, 2]]", "[[2, 1], [1, 1]]", "[[1, 0]]", "[3]", "[[4, 1]]", "[[1, 9223372036854775807]]",
        ] {
            let hostile = try sample(", \"environment\": \(spans), \"sampled_tokens\": 2")
            #expect(hostile["given"] == nil && hostile["divergence"]?.double == (0.5 + 0.125) / 4, "\(spans)")
        }
    }

    @Test func endsThatDoNotFitTheTextAreNotBelieved() throws {
        for ends in [nil, [1, 2], [1, 2, 9], [2, 1, 3], [1, 2, 2], [-1, 2, 3]] as [[Int]?] {
            let sample = try #require(try samples(RunFolderFixture.sample(step: 1, ends: ends)).list.first)
            #expect(sample["pieces"] == nil && sample["response"]?.string == "abc", "\(ends ?? [])")
        }
        // Within a character.
        let cut = try #require(
            try samples(RunFolderFixture.sample(step: 1, response: "é", ids: [1, 2], ends: [1, 2])).list.first)
        #expect(cut["pieces"] == nil)
    }

    @Test func whatAResponseDoesNotHaveIsAbsent() throws {
        let sample = try #require(try samples(RunFolderFixture.sample(step: 1, b: [])).list.first)
        #expect(sample["divergence"] == nil && sample["b"]?.array?.isEmpty == true && sample["passed"] == nil)
        let none = try #require(try samples(RunFolderFixture.sample(step: 1, b: [-1, .nan, -1])).list.first)
        #expect(none["divergence"] == nil && none["b"]?.array?[1].isNull == true)
    }

    @Test func theWorstTheNewestAndAHeldOutPromptThroughTheRunAreThere() throws {
        var text = ""
        for step in 0..<3000 {
            let t: Float = step == 1234 ? -40 : -1
            text += RunFolderFixture.sample(step: step, b: [-1, -1, -1], t: [t, -1, -1])
            if step % 100 == 0 {
                for prompt in 0..<3 {
                    text += RunFolderFixture.sample(step: step, prompt: "held out \(prompt)", kind: "evaluation")
                }
            }
        }
        let (list, document) = try samples(text)
        #expect(document["samples_total"]?.int == 3090 && list.count < 400)
        let steps = list.compactMap { $0["step"]?.int }
        #expect(steps == steps.sorted() && steps.contains(1234) && steps.contains(2999))
        for prompt in 0..<3 {
            let through = list.filter { $0["prompt"]?.string == "held out \(prompt)" }.compactMap { $0["step"]?.int }
            #expect(through.first == 0 && through.last == 2900 && through.count >= 6, "\(through)")
        }
        let small = try samples(text, bytes: 20_000)
        #expect(small.list.count > 20 && small.document["samples"]?.text(pretty: false).utf8.count ?? 0 < 21_000)
        // Half of the space is not for the followed prompts.
        #expect(small.list.contains { $0["step"]?.int == 1234 })
    }

    @Test func aHostileFileShowsNothingButText() throws {
        let good = RunFolderFixture.sample(step: 3, prompt: "</script><img src=x onerror=alert(1)>")
        let deep = "{\"step\": 1, \"prompt\": " + String(repeating: "[", count: 100_000) + "\n"
        let wide =
            "{\"step\": 1, \"kind\": \"train\", \"prompt\": \"p\", \"student_logprobs\": ["
            + String(repeating: "1,", count: 2_000_000)
            + "1], \"teacher_logprobs\": []}\n"
        let long = RunFolderFixture.sample(step: 4, response: String(repeating: "<b>", count: 4_000_000), ends: nil)
        let broken = [
            "{}", "null", "\u{0}", "{\"step\": 1e400}", "{\"step\": 1, \"ids\": [1,\"x\"]}", "[[[[", "\"", "{\"a\\",
        ]
        let (list, document) = try samples(deep + wide + long + broken.joined(separator: "\n") + "\n" + good)
        let text = document["samples"]?.text(pretty: false) ?? ""
        #expect(text.utf8.count < 40_000)
        #expect(list.contains { $0["prompt"]?.string == "</script><img src=x onerror=alert(1)>" })
        #expect(document["notes"]?.array?.contains { $0.string?.contains("are no responses") == true } == true)
    }
}

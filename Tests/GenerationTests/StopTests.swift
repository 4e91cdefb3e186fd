import Compute
import Distillation
import Generation
import Models
import Testing
import Tokenizers
import Tokens
import Transformers

/// What ends a response changes no token and no log-probability before its end.
@Suite struct StopTests {
    private static let configuration = ModelConfiguration(
        family: .llama, vocabularySize: 96, hiddenSize: 32, intermediateSize: 64, layerCount: 1, headCount: 4,
        keyValueHeadCount: 2, headDimension: 8, maxPositions: 128, tiedEmbeddings: true)
    private static let bytes = try? Tokenizer(.bytes(specialTokens: []), file: "bytes")

    private static let prompt: [Int32] = [72, 73]

    private func model() -> LanguageModel {
        let buffer = ParameterBuffer(layout: ParameterLayout(Self.configuration, matrixType: .f32))
        for index in 0..<buffer.flat.count { buffer.flat.f32[index] = Float(index * 7919 % 193 - 96) / 300 }
        return LanguageModel(
            configuration: Self.configuration, parameters: buffer, type: .f32, context: ComputeContext(threads: 1))
    }

    private func sample(_ settings: SamplingSettings, tokenizer: Tokenizer? = bytes) throws -> CompletedSample {
        let engine = GenerationEngine(model: model(), slots: 2, tokenizer: tokenizer)
        try engine.submit([
            SampleRequest(id: 1, promptIDs: Self.prompt, seed: 3, sample: 0, parameters: settings)
        ])
        return try #require(engine.run().first)
    }

    private func text(_ ids: some Sequence<Int32>) -> String {
        String(ids.map { Character(Unicode.Scalar(UInt8($0))) })
    }

    @Test func aTextEndsAResponseWithTheTokenThatCompletesIt() throws {
        let free = try sample(SamplingSettings(maxTokens: 40))
        #expect(free.ids.count == 40 && free.finishReason == .length)
        let wanted = text(free.ids[9...11])
        let end = try #require((2..<40).first { text(free.ids[($0 - 2)...$0]) == wanted }) + 1
        let stopped = try sample(SamplingSettings(maxTokens: 40, stop: ["~~~~~", wanted]))
        #expect(stopped.ids == Array(free.ids.prefix(end)) && stopped.finishReason == .stop)
        #expect(stopped.logprobs.map(\.bitPattern) == free.logprobs.prefix(end).map(\.bitPattern))
        // One that is longer than the response so far, and one that begins with the prompt's text, which is not searched.
        #expect(try sample(SamplingSettings(maxTokens: 40, stop: ["HI" + text(free.ids.prefix(1))])).ids == free.ids)
        // The last token may complete it: that is a stop, too.
        let last = try sample(SamplingSettings(maxTokens: end, stop: [wanted]))
        #expect(last.ids.count == end && last.finishReason == .stop)
    }

    /// Stop tokens are not drawn for the first tokens; what is drawn has the log-probability among all tokens.
    @Test(arguments: [(1 as Float, 1 as Float, 0), (0, 1, 0), (1, 0.9, 20)])
    func theFirstTokensEndNothing(temperature: Float, topP: Float, topK: Int) throws {
        var settings = SamplingSettings(maxTokens: 40, temperature: temperature, topP: topP, topK: topK)
        let free = try sample(settings)
        let stop = free.ids[4]
        let place = try #require(free.ids.firstIndex(of: stop))
        settings.stopTokenIDs = [stop]
        let early = try sample(settings)
        #expect(early.ids.count == place + 1 && early.finishReason == .stop)
        settings.minTokens = place + 6
        let late = try sample(settings)
        #expect(late.ids.count > settings.minTokens && !late.ids.prefix(settings.minTokens).contains(stop))
        if temperature == 0 { #expect(late.ids.prefix(place) == free.ids.prefix(place)) }
        #expect(late.finishReason == (late.ids.last == stop ? .stop : .length))
        if topP == 1 {
            let scored = try ScoringEngine(model: model()).score(
                [TokenSequence(promptIDs: Self.prompt, responseIDs: late.ids)])
            #expect(scored[0].map(\.bitPattern) == late.logprobs.map(\.bitPattern))
        }
        settings.minTokens = 40
        #expect(try sample(settings).finishReason == .length)
    }

    @Test func textsOfTheFirstTokensDoNotCount() throws {
        let free = try sample(SamplingSettings(maxTokens: 40))
        let stop = free.ids[4]
        let place = try #require(free.ids.firstIndex(of: stop))
        let later = free.ids[(place + 1)...].firstIndex(of: stop).map { $0 + 1 } ?? 40
        let late = try sample(SamplingSettings(maxTokens: 40, stop: [text([stop])], minTokens: place + 1))
        #expect(late.ids == Array(free.ids.prefix(later)))
        #expect(late.logprobs.map(\.bitPattern) == free.logprobs.prefix(later).map(\.bitPattern))
    }

    @Test func textsNeedATokenizer() {
        #expect(throws: GenerationError.self) {
            try sample(SamplingSettings(maxTokens: 4, stop: ["a"]), tokenizer: nil)
        }
    }
}

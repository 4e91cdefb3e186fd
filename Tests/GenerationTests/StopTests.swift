import Compute
import Distillation
import Generation
import Models
import Testing
import Tokenizers

/// What ends a response changes no token and no log-probability before its end.
struct StopTests {
    private static let configuration = ModelConfiguration(
        family: .llama, vocabularySize: 96, hiddenSize: 32, intermediateSize: 64, layerCount: 1, headCount: 4,
        keyValueHeadCount: 2, headDimension: 8, maxPositions: 128, tiedEmbeddings: true)
    private static let bytes = try? Tokenizer(.bytes(specialTokens: []), file: "bytes")

    private func sample(_ settings: SamplingSettings, tokenizer: Tokenizer? = bytes) throws -> CompletedSample {
        let buffer = ParameterBuffer(layout: ParameterLayout(Self.configuration, matrixType: .f32))
        for index in 0..<buffer.flat.count { buffer.flat.f32[index] = Float(index * 7919 % 193 - 96) / 300 }
        let model = LanguageModel(
            configuration: Self.configuration, parameters: buffer, type: .f32, context: ComputeContext(threads: 1))
        let engine = GenerationEngine(model: model, slots: 2, tokenizer: tokenizer)
        try engine.submit([
            SampleRequest(id: 1, promptIDs: [72, 73], seed: 3, stream: 0, sample: 0, parameters: settings)
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

    /// Nothing is masked: a stop that comes early stays, with the log-probability that it has.
    @Test func nothingEndsAResponseBeforeItsLeastLength() throws {
        let free = try sample(SamplingSettings(maxTokens: 40))
        let stop = free.ids[4]
        let place = try #require(free.ids.firstIndex(of: stop))
        let early = try sample(SamplingSettings(maxTokens: 40, stopTokenIDs: [stop]))
        #expect(early.ids.count == place + 1 && early.finishReason == .stop)
        let later = free.ids[(place + 1)...].firstIndex(of: stop).map { $0 + 1 } ?? 40
        let settings = SamplingSettings(maxTokens: 40, stopTokenIDs: [stop], minTokens: place + 2)
        let late = try sample(settings)
        #expect(late.ids == Array(free.ids.prefix(later)))
        #expect(late.logprobs.map(\.bitPattern) == free.logprobs.prefix(later).map(\.bitPattern))
        var texts = settings
        (texts.stopTokenIDs, texts.stop) = ([], [text([stop])])
        #expect(try sample(texts).ids == late.ids)
    }

    @Test func textsNeedATokenizer() {
        #expect(throws: GenerationError.self) {
            try sample(SamplingSettings(maxTokens: 4, stop: ["a"]), tokenizer: nil)
        }
    }
}

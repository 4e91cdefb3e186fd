import Configuration
import Runs
import Testing
import Wording

@Suite struct PromptFittingTests {
    private func ids(_ count: Int) -> [Int32] { (0..<Int32(count)).map { $0 } }

    @Test func whatFitsStaysAndIsCounted() throws {
        var fitting = PromptFitting(.drop, maxTokens: 4)
        #expect(try fitting.fit(ids(6), context: 10, named: "a") == ids(6))
        #expect(try fitting.notes(of: "p") == [])
        #expect(try fitting.fit(ids(9), context: 10, named: "b") == ids(9))
        #expect(try fitting.fit(ids(10), context: 10, named: "c") == nil)
        #expect(try fitting.fit(ids(7), response: 4, context: 10, named: "d") == nil)
        #expect(
            try fitting.notes(of: "p") == [
                "p: 2 of 4 prompts are left out: they do not fit into the context of 10, the longest with 11 tokens",
                "p: 1 of 4 prompts leave less than sampling.max_tokens 4 of the context, the longest 1; their responses "
                    + "end there",
            ])
    }

    /// The beginning goes, and at least half of the context stays.
    @Test func aPromptIsCutAtItsBeginning() throws {
        var fitting = PromptFitting(.truncate, maxTokens: 4)
        #expect(try fitting.fit(ids(12), context: 10, named: "a") == Array(ids(12).suffix(6)))
        var long = PromptFitting(.truncate, maxTokens: 100)
        #expect(try long.fit(ids(12), context: 10, named: "a") == Array(ids(12).suffix(5)))
        #expect(try long.fit(ids(12), response: 7, context: 10, named: "b") == Array(ids(12).suffix(3)))
        // A response that alone is too long cannot be helped.
        #expect(try long.fit(ids(12), response: 10, context: 10, named: "c") == nil)
        #expect(try long.notes(of: "p").count == 2)
    }

    @Test func refusalsNameThePrompt() throws {
        var fitting = PromptFitting(.refuse, maxTokens: 4)
        let error = #expect(throws: UsageError.self) { try fitting.fit(ids(10), context: 10, named: "p: prompt 3") }
        #expect(
            error?.message
                == "p: prompt 3 has 10 tokens, for which the context of 10 has no room; shorten it, or set data.overlong "
                + "to drop or truncate")
        var dropping = PromptFitting(.drop, maxTokens: 4)
        #expect(try dropping.fit(ids(10), context: 10, named: "p") == nil)
        #expect(throws: UsageError.self) { try dropping.notes(of: "p") }
    }
}

import EnvironmentPrograms
import Environments
import Testing

/// The talk with a program, without any: what is asked, what is an answer, and what is none.
@Suite struct ProgramConversationTests {
    private func taken(_ text: String, to request: ProgramRequest, rewards: Bool = true) throws -> ProgramAnswer? {
        var conversation = ProgramConversation(givesReward: rewards)
        _ = conversation.ask(request)
        return try conversation.take(Array(text.utf8))
    }

    /// The message of what is refused; nil where it is taken.
    private func refusal(_ text: String, to request: ProgramRequest, rewards: Bool = true) -> String? {
        do {
            _ = try taken(text, to: request, rewards: rewards)
            return nil
        } catch {
            return "\(error)"
        }
    }

    private let step = ProgramRequest.step(episode: 7, turn: 2, text: "I say \"5\"\n")

    @Test func aRequestIsALine() {
        let start = EpisodeStart(fields: "{\"answer\":\n \"a\\nb\"}", seed: .max)
        let lines = [ProgramRequest.reset(episode: 7, start), step, .end(episode: 7)].map {
            String(decoding: $0.line, as: UTF8.self)
        }
        #expect(
            lines == [
                #"{"type": "reset", "episode": 7, "seed": 9007199254740991, "prompt": {"answer":"a\nb"}}"# + "\n",
                #"{"type": "step", "episode": 7, "turn": 2, "text": "I say \"5\"\n"}"# + "\n",
                #"{"type": "end", "episode": 7}"# + "\n",
            ])
        // What the learner sends as fields may be anything.
        for fields in [nil, "", "[1]", "{\"a\":"] {
            let line = ProgramRequest.reset(episode: 1, EpisodeStart(fields: fields, seed: 0)).line
            #expect(String(decoding: line, as: UTF8.self).hasSuffix("\"prompt\": {}}\n"))
        }
    }

    @Test func answersAreRead() throws {
        #expect(try taken("{\"episode\": 7}\n", to: .end(episode: 7)) == .understood)
        #expect(
            try taken("{\"episode\":7,\"observation\":\"more\\n\",\"reward\":0.5}\r\n", to: step)
                == .step(EnvironmentStep("more\n", reward: 0.5)))
        #expect(try taken("{\"episode\":7,\"done\":true,\"reward\":1}\n", to: step) == .step(.done(reward: 1)))
        var told = EnvironmentStep("42")
        told.role = .tool
        let message = "{\"episode\": 7, \"observation\": {\"role\": \"tool\", \"content\": \"42\"}, \"done\": false}\n"
        #expect(try taken(message, to: step, rewards: false) == .step(told))
    }

    /// Byte by byte, and one after the other.
    @Test func anAnswerMayComeInParts() throws {
        var conversation = ProgramConversation(givesReward: true)
        for episode in 1...3 as ClosedRange<UInt64> {
            _ = conversation.ask(.end(episode: episode))
            let bytes = Array("{\"episode\": \(episode)}\n".utf8)
            for byte in bytes.dropLast() { #expect(try conversation.take([byte]) == nil) }
            #expect(conversation.open != nil)
            #expect(try conversation.take(bytes.suffix(1)) == .understood)
            #expect(conversation.open == nil)
        }
    }

    @Test(arguments: [
        ("\n", "is not valid JSON"), ("{\"episode\": 7\n", "is not valid JSON"), ("hello\n", "is not valid JSON"),
        ("[7]\n", "is an array, not an object"), ("7\n", "is a number, not an object"),
        ("\u{1}{}\n", "is not valid JSON"),
        ("{}\n", "has nothing as 'episode', and was asked about 7"),
        ("{\"episode\": 8, \"done\": true}\n", "has '8' as 'episode', and was asked about 7"),
        ("{\"episode\": -7, \"done\": true}\n", "has '-7' as 'episode'"),
        ("{\"episode\": \"7\", \"done\": true}\n", "as 'episode'"),
        ("{\"episode\": 7}\n", "has neither an 'observation' nor 'done': true"),
        ("{\"episode\": 7, \"observation\": null, \"done\": false}\n", "has neither an 'observation'"),
        ("{\"episode\": 7, \"obs\": \"x\"}\n", "to 'step' has 'obs', which has no place there"),
        ("{\"episode\": 7, \"done\": true, \"done\": true}\n", "has 'done' twice"),
        ("{\"episode\": 7, \"done\": 1}\n", "has a number as 'done'"),
        ("{\"episode\": 7, \"done\": true, \"reward\": 1.5}\n", "has '1.5' as 'reward', not a number from 0 to 1"),
        ("{\"episode\": 7, \"done\": true, \"reward\": -1}\n", "has '-1' as 'reward'"),
        ("{\"episode\": 7, \"done\": true, \"reward\": \"1\"}\n", "as 'reward'"),
        ("{\"episode\": 7, \"observation\": 5}\n", "has a number as 'observation'"),
        ("{\"episode\": 7, \"observation\": {\"role\": \"system\", \"content\": \"x\"}}\n", "that is no message"),
        ("{\"episode\": 7, \"observation\": {\"content\": \"x\"}}\n", "that is no message: a 'role' (user or tool)"),
    ])
    func whatIsNoAnswerIsNamed(text: String, reason: String) throws {
        let refusal = try #require(self.refusal(text, to: step))
        #expect(refusal.hasPrefix("gave an answer that ") && refusal.contains(reason), "\(refusal)")
        #expect(!refusal.contains("\n"))
    }

    @Test func anAnswerFitsItsRequest() {
        let reset = ProgramRequest.reset(episode: 7, EpisodeStart(seed: 1))
        #expect(
            refusal("{\"episode\": 7, \"observation\": \"x\"}\n", to: reset)?.contains("to 'reset' has 'observation'")
                == true)
        #expect(refusal("{\"episode\": 7, \"done\": true}\n", to: .end(episode: 7))?.contains("'done'") == true)
        let reward = "{\"episode\": 7, \"done\": true, \"reward\": 1}\n"
        #expect(refusal(reward, to: step, rewards: false)?.contains("data.environment.rewards is false") == true)
        #expect(refusal(String(repeating: "[", count: 500) + "\n", to: step)?.contains("more than 64 values") == true)
        let many = "{\"episode\": 7, \"observation\": [" + String(repeating: "1,", count: 100) + "1]}\n"
        #expect(refusal(many, to: step)?.contains("more than 64 values") == true)
    }

    @Test func nobodySpeaksUnasked() throws {
        var conversation = ProgramConversation(givesReward: true)
        #expect(throws: ProgramFlaw.unasked("'hi '")) { try conversation.take(Array("hi\n".utf8)) }
        conversation = ProgramConversation(givesReward: true)
        _ = conversation.ask(.end(episode: 1))
        #expect(throws: ProgramFlaw.unasked("'{'")) { try conversation.take(Array("{\"episode\": 1}\n{".utf8)) }
        #expect(try conversation.take([UInt8]()) == nil)
    }

    @Test func aLineHasItsLength() throws {
        var conversation = ProgramConversation(givesReward: true)
        _ = conversation.ask(step)
        let part = [UInt8](repeating: UInt8(ascii: " "), count: ProgramConversation.longestLine / 2)
        #expect(try conversation.take(part) == nil)
        #expect(try conversation.take(part) == nil)
        #expect(throws: ProgramFlaw.tooLong) { try conversation.take([UInt8(ascii: " ")]) }
        conversation = ProgramConversation(givesReward: true)
        _ = conversation.ask(step)
        #expect(throws: ProgramFlaw.tooLong) { try conversation.take(part + part + Array(" \n".utf8)) }
    }
}

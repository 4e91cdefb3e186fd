import EnvironmentPrograms
import Environments

extension FuzzTarget {
    /// What a program writes that is an environment, in parts of any size: an answer is about what was asked, and its
    /// reward is one.
    static let program = FuzzTarget(name: "program") { bytes in
        // The first byte chooses what was asked, the second the size of the parts.
        guard bytes.count > 2 else { return }
        let request: ProgramRequest =
            switch bytes[0] % 3 {
            case 0: .reset(episode: 7, EpisodeStart(fields: nil, seed: 1))
            case 1: .step(episode: 7, turn: 1, text: "5")
            default: .end(episode: 7)
            }
        let size = Int(bytes[1]) + 1
        var conversation = ProgramConversation(givesReward: bytes[0] < 128)
        _ = conversation.ask(request)
        var rest = bytes.dropFirst(2)
        var answers = 0
        while !rest.isEmpty {
            let part = rest.prefix(size)
            rest = rest.dropFirst(size)
            let taken: ProgramAnswer?
            // What is wrong ends the talk.
            do { taken = try conversation.take(part) } catch { return }
            guard let answer = taken else { continue }
            answers += 1
            guard answers == 1, conversation.open == nil else { throw BrokenPromise("a request has one answer") }
            switch (answer, request) {
            case (.step(let step), .step):
                guard (0...1).contains(step.reward ?? 0), bytes[0] < 128 || step.reward == nil else {
                    throw BrokenPromise("a reward is from 0 to 1, of a program that gives some")
                }
            case (.understood, .reset), (.understood, .end): break
            default: throw BrokenPromise("an answer is of the kind that was asked for")
            }
        }
    }
}

import Environments
import JSON

/// What a program is asked: one line of JSON, which one line answers.
package enum ProgramRequest: Sendable, Equatable {
    /// To begin an episode.
    case reset(episode: UInt64, EpisodeStart)
    /// To answer the assistant's turn; turns count from 1.
    case step(episode: UInt64, turn: Int, text: String)
    /// To forget an episode that ended otherwise than by its word.
    case end(episode: UInt64)

    package var episode: UInt64 {
        switch self {
        case .reset(let episode, _), .step(let episode, _, _), .end(let episode): episode
        }
    }

    /// The line, its end included.
    package var line: [UInt8] {
        var fields: [(name: String, json: String)] = [("type", JSONText.string(type)), ("episode", "\(episode)")]
        switch self {
        case .reset(_, let start):
            fields += [("seed", "\(Self.seed(start.seed))"), ("prompt", Self.object(start.fields))]
        case .step(_, let turn, let text): fields += [("turn", "\(turn)"), ("text", JSONText.string(text))]
        case .end: break
        }
        return Array((JSONText.object(fields) + "\n").utf8)
    }

    var type: String {
        switch self {
        case .reset: "reset"
        case .step: "step"
        case .end: "end"
        }
    }

    /// As many bits as a number of any language's JSON has.
    package static func seed(_ seed: UInt64) -> UInt64 { seed >> 11 }

    /// Fields as one line, whatever white space they came with; they come from the learner.
    private static func object(_ fields: String?) -> String {
        guard let fields, let value = try? JSONValue.parse(fields), value.object != nil else { return "{}" }
        return value.text(pretty: false)
    }
}

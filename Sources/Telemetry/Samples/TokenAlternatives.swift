import Distillation
import JSON
import Tokens

/// What a teacher would rather have written at each token of a response: its few most probable tokens, as far as it has
/// listed some.
package struct TokenAlternatives: Sendable, Equatable {
    /// One that might have stood there.
    package struct Choice: Sendable, Equatable {
        package var id: Int32
        /// In nats, with four decimals.
        package var logprob: Float
    }

    /// Most tokens of a position.
    package static let most = 3

    /// The choices at each token of the response, the most probable first; none where an environment said it.
    package let choices: [[Choice]]
    /// The text of each token that is a choice.
    package private(set) var texts: [Int32: String] = [:]

    /// - Parameters:
    ///   - top: what the teacher listed at each sampled token of `tokens`.
    ///   - text: of a token.
    /// - Returns: nil where the two do not belong together.
    package init?(_ top: TopTokens, of tokens: TokenSequence, text: (Int32) -> String) {
        let count = top.count
        guard count > 0, top.ids.count == tokens.predictedCount * count, top.logprobs.count == top.ids.count else {
            return nil
        }
        let listed = (0..<tokens.predictedCount).map { position in
            let best = (position * count..<(position + 1) * count)
                .sorted { (top.logprobs[$1], top.ids[$0]) < (top.logprobs[$0], top.ids[$1]) }.prefix(Self.most)
            return best.map { Choice(id: top.ids[$0], logprob: (top.logprobs[$0] * 10_000).rounded() / 10_000) }
        }
        choices = tokens.spread(listed, filler: [])
        for id in Set(choices.joined().map(\.id)) { texts[id] = text(id) }
    }

    /// Members of a line of `samples.jsonl`.
    var fields: [(name: String, json: String)] {
        func array(_ element: (Choice) -> String) -> String {
            "[" + choices.map { "[" + $0.map(element).joined(separator: ",") + "]" }.joined(separator: ", ") + "]"
        }
        let named = texts.sorted { $0.key < $1.key }.map { (name: String($0.key), json: JSONText.string($0.value)) }
        return [
            ("teacher_top_ids", array { String($0.id) }),
            ("teacher_top_logprobs", array { JSONText.number($0.logprob) }),
            ("teacher_top_texts", JSONText.object(named)),
        ]
    }
}

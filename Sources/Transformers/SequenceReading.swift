import Tokens

/// How the tokens of a sequence are read where long sequences have a rotary embedding of their own (longrope): every
/// position is turned by the embedding that the length of the sequence calls for, and the question is which length.
package enum SequenceReading: Sendable {
    /// The way a model writes: each token is predicted by the embedding for what stood there when it was drawn. So
    /// sampling, scoring and training agree to the last bit; what grows beyond the original context is read twice.
    case drawn
    /// One text: all tokens are predicted by the embedding for the whole length.
    case text
}

/// A part of a sequence whose tokens are predicted with one rotary embedding.
package struct SequencePart: TokenSequenceHolder {
    /// The response is what is predicted; the tokens before it are given.
    package var tokens: TokenSequence
    /// Whether the embedding is that of long sequences.
    package var isLong: Bool

    private init(_ promptIDs: [Int32], _ responseIDs: [Int32], isLong: Bool) {
        tokens = TokenSequence(promptIDs: promptIDs, responseIDs: responseIDs)
        self.isLong = isLong
    }

    /// A sequence in one part, or in two where it grows beyond `longAbove` tokens: what was drawn until then, and the
    /// rest, which is predicted from the beginning anew.
    package static func parts(
        _ sequence: TokenSequence, longAbove: Int?, reading: SequenceReading
    ) -> [SequencePart] {
        let prompt = sequence.promptIDs, response = sequence.responseIDs
        guard let longAbove, sequence.count > longAbove else { return [SequencePart(prompt, response, isLong: false)] }
        // The token at index i was drawn from a sequence of i tokens.
        let short = reading == .text ? 0 : min(max(longAbove + 1 - prompt.count, 0), response.count)
        if short == response.count, !response.isEmpty { return [SequencePart(prompt, response, isLong: false)] }
        let rest = SequencePart(prompt + response.prefix(short), Array(response.dropFirst(short)), isLong: true)
        guard short > 0 else { return [rest] }
        return [SequencePart(prompt, Array(response.prefix(short)), isLong: false), rest]
    }
}

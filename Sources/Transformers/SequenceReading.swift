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

    private init(_ promptIDs: [Int32], _ responseIDs: [Int32], given: [Range<Int>], isLong: Bool) {
        tokens = TokenSequence(promptIDs: promptIDs, responseIDs: responseIDs, given: given)
        self.isLong = isLong
    }

    /// A sequence in one part, or in two where it grows beyond `longAbove` tokens: what was drawn until then, and the
    /// rest, which is predicted from the beginning anew.
    package static func parts(
        _ sequence: TokenSequence, longAbove: Int?, reading: SequenceReading
    ) -> [SequencePart] {
        let prompt = sequence.promptIDs, response = sequence.responseIDs, given = sequence.given
        let whole = SequencePart(prompt, response, given: given, isLong: false)
        guard let longAbove, sequence.count > longAbove else { return [whole] }
        // The token at index i was drawn from a sequence of i tokens.
        let short = reading == .text ? 0 : min(max(longAbove + 1 - prompt.count, 0), response.count)
        if short == response.count, !response.isEmpty { return [whole] }
        let rest = SequencePart(
            prompt + response.prefix(short), Array(response.dropFirst(short)),
            given: part(of: given, short..<response.count), isLong: true)
        guard short > 0 else { return [rest] }
        let first = SequencePart(
            prompt, Array(response.prefix(short)), given: part(of: given, 0..<short), isLong: false)
        return [first, rest]
    }

    /// What of some spans lies in a range, counted from its beginning.
    private static func part(of spans: [Range<Int>], _ range: Range<Int>) -> [Range<Int>] {
        spans.map { $0.clamped(to: range) }.filter { !$0.isEmpty }
            .map { $0.lowerBound - range.lowerBound..<$0.upperBound - range.lowerBound }
    }
}

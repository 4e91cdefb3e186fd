import Tokenizers

/// Tells, token by token, whether a response's text has come to a stop text, special tokens included.
///
/// A text counts with the token whose characters complete it; one that was complete before does not count again.
struct StopTextMatcher {
    private let texts: [[UInt8]]
    private let longest: Int
    private var decoder: IncrementalDecoder
    /// The end of the text so far, shorter than the longest stop text.
    private var tail: [UInt8] = []

    /// - Returns: nil where there are no texts.
    init?(_ texts: [String], _ tokenizer: Tokenizer) {
        guard !texts.isEmpty else { return nil }
        self.texts = texts.map { Array($0.utf8) }
        longest = self.texts.map(\.count).max() ?? 0
        decoder = IncrementalDecoder(tokenizer)
    }

    /// Whether this token completes one.
    mutating func append(_ id: Int32) -> Bool {
        let known = tail.count
        tail += decoder.append(id).utf8
        defer { tail.removeFirst(max(0, tail.count - longest + 1)) }
        guard tail.count > known else { return false }
        return texts.contains { text in
            // Only what ends within the new characters.
            let first = max(0, known - text.count + 1), last = tail.count - text.count
            return first <= last && (first...last).contains { tail[$0..<$0 + text.count].elementsEqual(text) }
        }
    }
}

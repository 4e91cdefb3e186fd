/// Tells, token by token, whether a response's text has come to a stop text, special tokens included.
///
/// The text is that which `decode` gives for the tokens so far. A stop text counts with the token that completes it; one
/// that was complete before does not count again.
package struct StopTextMatcher: Sendable {
    private let texts: [[UInt8]]
    private let longest: Int
    private var decoder: IncrementalDecoder
    /// The end of the text that no later token changes, shorter than the longest stop text.
    private var tail: [UInt8] = []
    /// The text behind it that a later token may change still, as it was searched.
    private var unsettled: [UInt8] = []

    /// - Returns: nil where there are no texts.
    package init?(_ texts: [String], _ tokenizer: Tokenizer) {
        guard !texts.isEmpty else { return nil }
        self.texts = texts.map { Array($0.utf8) }
        longest = self.texts.map(\.count).max() ?? 0
        decoder = IncrementalDecoder(tokenizer)
    }

    /// Whether this token completes one.
    package mutating func append(_ id: Int32) -> Bool {
        let settled = Array(decoder.append(id).utf8)
        // Bytes that are tokens of their own are held back by the decoder, a line feed too.
        var ahead = decoder
        let rest = ahead.finish()
        let after = rest.unicodeScalars.contains("\u{FFFD}") ? [] : Array(rest.utf8)
        let text = tail + settled + after
        let searched = tail.count + (text.dropFirst(tail.count).starts(with: unsettled) ? unsettled.count : 0)
        tail += settled
        tail.removeFirst(max(0, tail.count - longest + 1))
        unsettled = after
        return text.count > searched && texts.contains { Self.ends($0, in: text, behind: searched) }
    }

    /// Whether a text stands in another and ends behind so many of its bytes.
    private static func ends(_ text: [UInt8], in whole: [UInt8], behind count: Int) -> Bool {
        let first = max(0, count - text.count + 1), last = whole.count - text.count
        return first <= last && (first...last).contains { whole[$0..<$0 + text.count].elementsEqual(text) }
    }
}

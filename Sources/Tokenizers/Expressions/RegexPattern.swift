import Patterns

/// A compiled pattern of a tokenizer file, matched as the Hugging Face library does (Oniguruma, Unicode classes).
struct RegexPattern: Sendable {
    private let pattern: CompiledPattern
    /// The pattern as the file has it.
    let source: String

    /// Steps after which matching one piece of text is given up.
    static let matchLimit: UInt32 = 10_000_000
    /// KiB that matching one piece of text may take.
    static let heapLimit: UInt32 = 1 << 18

    /// `isLiteral`: no character of `source` has a meaning of its own.
    init(_ source: String, isLiteral: Bool = false) throws(TokenizerError) {
        self.source = source
        let rewritten = isLiteral ? source : try OnigurumaPattern.rewritten(source)
        do {
            // ^ and $ match at lines in Ruby's syntax, which is what files are written for.
            pattern = try CompiledPattern(
                rewritten, syntax: isLiteral ? .literal : .unicodeLines, matchLimit: Self.matchLimit,
                heapLimit: Self.heapLimit)
        } catch {
            let place = rewritten == source ? " at byte \(error.offset)" : ""
            throw TokenizerError(.malformed, "pattern '\(source)' is wrong\(place): \(error.reason)")
        }
    }

    /// Calls `body` with every match in `text`, valid UTF-8, from left to right. Ranges are byte offsets in `text`.
    ///
    /// Empty matches right behind a match are skipped, as in the Hugging Face library.
    func forEachMatch(
        in text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) -> Void
    ) throws(TokenizerError) {
        guard text.baseAddress != nil else { return }
        if let copy = Self.withoutVowelSeparators(text) {
            let result = copy.withUnsafeBufferPointer { buffer in
                Result { () throws(TokenizerError) in try matches(in: buffer, body) }
            }
            return try result.get()
        }
        try matches(in: text, body)
    }

    private func matches(
        in text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) -> Void
    ) throws(TokenizerError) {
        var start = 0
        var lastEnd = -1
        do {
            try pattern.forEachMatch(in: text) { match in
                // \K in a lookahead can begin a match before where it was looked for.
                guard match.lowerBound >= start, match.upperBound <= text.count else { return nil }
                if match.isEmpty, match.lowerBound == lastEnd {
                    start = match.upperBound + 1
                    while start < text.count, text[start] & 0xC0 == 0x80 { start += 1 }
                } else {
                    body(match)
                    start = match.upperBound
                    lastEnd = match.upperBound
                }
                return start
            }
        } catch {
            throw TokenizerError(
                .pattern,
                "the tokenizer's pattern '\(source)' gives up on a text of \(text.count) bytes: \(error.reason)")
        }
    }

    /// A copy with U+180E replaced by U+200B, or nil when there is none. PCRE2's `\s` holds the Mongolian vowel
    /// separator, Unicode's White_Space has not since 6.3; the zero width space has the same length and category.
    private static func withoutVowelSeparators(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        var copy: [UInt8]?
        var index = 0
        while index + 2 < text.count {
            if text[index] == 0xE1, text[index + 1] == 0xA0, text[index + 2] == 0x8E {
                if copy == nil { copy = Array(text) }
                copy?.replaceSubrange(index..<index + 3, with: [0xE2, 0x80, 0x8B])
                index += 3
            } else {
                index += 1
            }
        }
        return copy
    }
}

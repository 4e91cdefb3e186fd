/// A pattern whose matches in a text are replaced by another text.
struct Replacement: Sendable {
    private enum Matcher: Sendable {
        case literal([UInt8])
        case pattern(RegexPattern)
    }

    private let matcher: Matcher
    let content: [UInt8]

    init(_ pattern: TokenizerDefinition.Pattern, with content: String) throws(TokenizerError) {
        switch pattern {
        case .string(let text) where !text.isEmpty: matcher = .literal(Array(text.utf8))
        // An empty text matches between all characters.
        case .string(let text): matcher = .pattern(try RegexPattern(text))
        case .regex(let text): matcher = .pattern(try RegexPattern(text))
        }
        self.content = Array(content.utf8)
    }

    /// The text that is looked for, not empty; nil for a regular expression.
    var literal: [UInt8]? {
        if case .literal(let pattern) = matcher { return pattern }
        return nil
    }

    /// `text`, valid UTF-8, with all matches replaced.
    func apply(_ text: [UInt8]) throws(TokenizerError) -> [UInt8] {
        var ignored = 0
        return try apply(text, leading: 0, newLeading: &ignored)
    }

    /// The same, and how many bytes of the result stand for the first `leading` bytes of `text`. What replaces a match
    /// stands for the last character of it, as in the Hugging Face library.
    func apply(_ text: [UInt8], leading: Int, newLeading: inout Int) throws(TokenizerError) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var end = 0
        newLeading = 0
        func replace(_ match: Range<Int>) {
            append(end..<match.lowerBound)
            result.append(contentsOf: content)
            if match.upperBound > 0, match.upperBound <= leading { newLeading = result.count }
            end = match.upperBound
        }
        func append(_ range: Range<Int>) {
            guard !range.isEmpty else { return }
            if range.lowerBound < leading {
                newLeading = result.count + min(leading, range.upperBound) - range.lowerBound
            }
            result.append(contentsOf: text[range])
        }
        switch matcher {
        case .literal(let pattern):
            while let start = UTF8Text.find(pattern, in: text, from: end) { replace(start..<start + pattern.count) }
        case .pattern(let pattern):
            guard !text.isEmpty else { break }
            let outcome = text.withUnsafeBufferPointer { buffer in
                Result { () throws(TokenizerError) in try pattern.forEachMatch(in: buffer) { replace($0) } }
            }
            try outcome.get()
        }
        append(end..<text.count)
        return result
    }
}

import CPCRE2

/// A compiled pattern of a tokenizer file, matched as the Hugging Face library does (Oniguruma, Unicode classes).
///
/// Sendable although it holds a pointer: the compiled code is never written after `init`, and PCRE2 allows any number
/// of threads to match with it.
final class RegexPattern: @unchecked Sendable {
    let source: String
    private let code: OpaquePointer
    private let context: OpaquePointer

    /// Steps after which matching one piece of text is given up.
    static let matchLimit: UInt32 = 10_000_000
    /// KiB that matching one piece of text may take; the library's own limit is 20 GB.
    static let heapLimit: UInt32 = 1 << 18

    /// `isLiteral`: no character of `source` has a meaning of its own.
    init(_ source: String, isLiteral: Bool = false) throws(TokenizerError) {
        self.source = source
        var error: Int32 = 0
        var offset = 0
        // ^ and $ match at lines in Ruby's syntax, which is what files are written for.
        let options =
            isLiteral
            ? UInt32(PCRE2_LITERAL) | UInt32(PCRE2_UTF)
            : UInt32(PCRE2_UTF) | UInt32(PCRE2_UCP) | UInt32(PCRE2_MULTILINE) | UInt32(PCRE2_NEVER_BACKSLASH_C)
        let bytes = Array(source.utf8)
        let compiled = bytes.withUnsafeBufferPointer {
            pcre2_compile_8($0.baseAddress, bytes.count, options, &error, &offset, nil)
        }
        guard let compiled, let context = pcre2_match_context_create_8(nil) else {
            throw TokenizerError(
                .malformed, "pattern '\(source)' is wrong at byte \(offset): \(Self.message(error))")
        }
        code = compiled
        self.context = context
        pcre2_set_match_limit_8(context, Self.matchLimit)
        pcre2_set_heap_limit_8(context, Self.heapLimit)
        // Without JIT (some systems forbid it) matching is slower, not different.
        _ = pcre2_jit_compile_8(compiled, UInt32(PCRE2_JIT_COMPLETE))
    }

    deinit {
        pcre2_match_context_free_8(context)
        pcre2_code_free_8(code)
    }

    /// Calls `body` with every match in `text`, valid UTF-8, from left to right. Ranges are byte offsets in `text`.
    ///
    /// Empty matches right behind a match are skipped, as in the Hugging Face library.
    func forEachMatch(
        in text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) -> Void
    ) throws(TokenizerError) {
        guard let data = pcre2_match_data_create_8(1, nil) else {
            throw TokenizerError(.pattern, "out of memory for matching")
        }
        defer { pcre2_match_data_free_8(data) }
        if let copy = Self.withoutVowelSeparators(text) {
            let result = copy.withUnsafeBufferPointer { buffer in
                Result { () throws(TokenizerError) in try matches(in: buffer, data, body) }
            }
            return try result.get()
        }
        try matches(in: text, data, body)
    }

    private func matches(
        in text: UnsafeBufferPointer<UInt8>, _ data: OpaquePointer, _ body: (Range<Int>) -> Void
    ) throws(TokenizerError) {
        guard let base = text.baseAddress else { return }
        var start = 0
        var lastEnd = -1
        while start <= text.count {
            var code = pcre2_match_8(
                self.code, base, text.count, start, UInt32(PCRE2_NO_UTF_CHECK), data, context)
            if code == PCRE2_ERROR_JIT_STACKLIMIT {
                code = pcre2_match_8(
                    self.code, base, text.count, start, UInt32(PCRE2_NO_UTF_CHECK) | UInt32(PCRE2_NO_JIT), data,
                    context)
            }
            if code == PCRE2_ERROR_NOMATCH { return }
            guard code >= 0, let offsets = pcre2_get_ovector_pointer_8(data) else {
                throw TokenizerError(
                    .pattern,
                    "the tokenizer's pattern '\(source)' gives up on a text of \(text.count) bytes: \(Self.message(code))"
                )
            }
            let (from, to) = (offsets[0], offsets[1])
            // \K in a lookahead can turn a match around.
            guard from >= start, to >= from, to <= text.count else { return }
            if from == to, from == lastEnd {
                start = to + 1
                while start < text.count, text[start] & 0xC0 == 0x80 { start += 1 }
                continue
            }
            body(from..<to)
            start = to
            lastEnd = to
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

    private static func message(_ code: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        pcre2_get_error_message_8(code, &buffer, buffer.count)
        return String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
    }
}

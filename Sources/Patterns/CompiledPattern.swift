import CPCRE2

/// A regular expression (PCRE2), compiled, with bounds on what a match may cost.
///
/// Sendable although it holds pointers: code and context are never written after `init`, and PCRE2 allows any number of
/// threads to match with them.
package final class CompiledPattern: @unchecked Sendable {
    package let source: String
    private let code: OpaquePointer
    private let context: OpaquePointer

    /// How a pattern is read.
    package enum Syntax: Sendable {
        /// Unicode classes; `^` and `$` match at the ends of the text.
        case unicode
        /// The same, and at the ends of lines, too.
        case unicodeLines
        /// No character has a meaning of its own.
        case literal

        fileprivate var options: UInt32 {
            let unicode = UInt32(PCRE2_UTF) | UInt32(PCRE2_UCP) | UInt32(PCRE2_NEVER_BACKSLASH_C)
            return switch self {
            case .unicode: unicode
            case .unicodeLines: unicode | UInt32(PCRE2_MULTILINE)
            case .literal: UInt32(PCRE2_UTF) | UInt32(PCRE2_LITERAL)
            }
        }
    }

    /// - Parameters:
    ///   - matchLimit: steps after which a match is given up.
    ///   - heapLimit: KiB that a match may take; the library's own limit is 20 GB.
    package init(_ source: String, syntax: Syntax, matchLimit: UInt32, heapLimit: UInt32) throws(PatternError) {
        var error: Int32 = 0
        var offset = 0
        let bytes = Array(source.utf8)
        let compiled = bytes.withUnsafeBufferPointer {
            pcre2_compile_8($0.baseAddress, bytes.count, syntax.options, &error, &offset, nil)
        }
        guard let compiled else { throw PatternError(reason: Self.message(error), offset: offset) }
        guard let context = pcre2_match_context_create_8(nil) else {
            pcre2_code_free_8(compiled)
            throw .outOfMemory
        }
        self.source = source
        code = compiled
        self.context = context
        pcre2_set_match_limit_8(context, matchLimit)
        pcre2_set_heap_limit_8(context, heapLimit)
        // Without JIT (some systems forbid it) matching is slower, not different.
        _ = pcre2_jit_compile_8(compiled, UInt32(PCRE2_JIT_COMPLETE))
    }

    deinit {
        pcre2_match_context_free_8(context)
        pcre2_code_free_8(code)
    }

    /// Calls `body` with matches from left to right until it returns nil.
    /// - Parameters:
    ///   - text: valid UTF-8.
    ///   - body: given the byte offsets of a match; returns where to look for the next.
    /// - Throws: when a match is given up.
    package func forEachMatch(
        in text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) -> Int?
    ) throws(PatternError) {
        guard let data = pcre2_match_data_create_8(1, nil) else { throw .outOfMemory }
        defer { pcre2_match_data_free_8(data) }
        var start: Int? = 0
        while let from = start, from <= text.count {
            guard let (lower, upper) = try match(in: text, from: from, data) else { return }
            // \K in a lookahead can turn a match around.
            guard lower <= upper else { return }
            start = body(lower..<upper)
        }
    }

    /// Whether it matches somewhere in `text`, valid UTF-8.
    /// - Throws: when the match is given up.
    package func matches(_ text: UnsafeBufferPointer<UInt8>) throws(PatternError) -> Bool {
        guard let data = pcre2_match_data_create_8(1, nil) else { throw .outOfMemory }
        defer { pcre2_match_data_free_8(data) }
        return try match(in: text, from: 0, data) != nil
    }

    private func match(
        in text: UnsafeBufferPointer<UInt8>, from start: Int, _ data: OpaquePointer
    ) throws(PatternError) -> (lower: Int, upper: Int)? {
        let options = UInt32(PCRE2_NO_UTF_CHECK)
        var result = pcre2_match_8(code, text.baseAddress, text.count, start, options, data, context)
        if result == PCRE2_ERROR_JIT_STACKLIMIT {
            result = pcre2_match_8(
                code, text.baseAddress, text.count, start, options | UInt32(PCRE2_NO_JIT), data, context)
        }
        if result == PCRE2_ERROR_NOMATCH { return nil }
        guard result >= 0, let offsets = pcre2_get_ovector_pointer_8(data) else {
            throw PatternError(reason: Self.message(result))
        }
        return (offsets[0], offsets[1])
    }

    private static func message(_ code: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        pcre2_get_error_message_8(code, &buffer, buffer.count)
        return String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
    }
}

/// A pattern that cannot be compiled, or a match that was given up.
package struct PatternError: Error, Sendable, Equatable {
    /// What is wrong with it, in PCRE2's words.
    package var reason: String
    /// Byte of the pattern at which it is wrong.
    package var offset = 0

    static let outOfMemory = PatternError(reason: "out of memory")
}

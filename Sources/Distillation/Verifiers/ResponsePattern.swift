import CPCRE2

/// A regular expression (PCRE2, Unicode) that responses are searched for, with bounds on what a match may cost.
///
/// Sendable although it holds a pointer: the compiled code is never written after `init`, and PCRE2 allows any number
/// of threads to match with it.
public final class ResponsePattern: @unchecked Sendable, Equatable {
    public let source: String
    private let code: OpaquePointer
    private let context: OpaquePointer

    /// Steps after which a match is given up: some milliseconds.
    static let matchLimit: UInt32 = 1_000_000
    /// KiB that a match may take.
    static let heapLimit: UInt32 = 1 << 14
    /// Bytes of a pattern.
    static let lengthLimit = 4096

    /// - Throws: ``VerifierError`` that says where the pattern is wrong.
    public init(_ source: String) throws(VerifierError) {
        let bytes = Array(source.utf8)
        guard !bytes.isEmpty, bytes.count <= Self.lengthLimit else {
            throw VerifierError(
                bytes.isEmpty
                    ? "verifier regex needs a pattern"
                    : "the pattern has \(bytes.count) bytes, more than \(Self.lengthLimit)")
        }
        var error: Int32 = 0
        var offset = 0
        let options = UInt32(PCRE2_UTF) | UInt32(PCRE2_UCP) | UInt32(PCRE2_NEVER_BACKSLASH_C)
        let compiled = bytes.withUnsafeBufferPointer {
            pcre2_compile_8($0.baseAddress, bytes.count, options, &error, &offset, nil)
        }
        guard let compiled, let context = pcre2_match_context_create_8(nil) else {
            throw VerifierError("pattern '\(source.prefix(80))' is wrong at byte \(offset): \(Self.message(error))")
        }
        self.source = source
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

    /// Whether the pattern matches somewhere in `text`.
    /// - Throws: ``VerifierError`` when it gives up, as a pattern that backtracks for ever does.
    func matches(_ text: String) throws(VerifierError) -> Bool {
        let bytes = Array(text.utf8)
        guard let data = pcre2_match_data_create_8(1, nil) else { throw VerifierError("out of memory for matching") }
        defer { pcre2_match_data_free_8(data) }
        let result = bytes.withUnsafeBufferPointer { buffer -> Int32 in
            let options = UInt32(PCRE2_NO_UTF_CHECK)
            let code = pcre2_match_8(self.code, buffer.baseAddress, buffer.count, 0, options, data, context)
            guard code == PCRE2_ERROR_JIT_STACKLIMIT else { return code }
            return pcre2_match_8(
                self.code, buffer.baseAddress, buffer.count, 0, options | UInt32(PCRE2_NO_JIT), data, context)
        }
        if result == PCRE2_ERROR_NOMATCH { return false }
        guard result >= 0 else {
            throw VerifierError(
                "pattern '\(source.prefix(80))' gives up on a response of \(bytes.count) bytes: "
                    + "\(Self.message(result)); write it so that it cannot backtrack")
        }
        return true
    }

    public static func == (a: ResponsePattern, b: ResponsePattern) -> Bool { a.source == b.source }

    private static func message(_ code: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        pcre2_get_error_message_8(code, &buffer, buffer.count)
        return String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
    }
}

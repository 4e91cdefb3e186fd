import Patterns

/// A regular expression (PCRE2, Unicode) that responses are searched for, with bounds on what a match may cost.
package struct ResponsePattern: Sendable, Equatable {
    private let pattern: CompiledPattern
    package var source: String { pattern.source }

    /// Steps after which a match is given up: some milliseconds.
    static let matchLimit: UInt32 = 1_000_000
    /// KiB that a match may take.
    static let heapLimit: UInt32 = 1 << 14
    /// Bytes of a pattern.
    static let lengthLimit = 4096

    /// - Throws: ``VerifierError`` that says where the pattern is wrong.
    package init(_ source: String) throws(VerifierError) {
        let length = source.utf8.count
        guard length > 0, length <= Self.lengthLimit else {
            throw VerifierError(
                length == 0
                    ? "verifier regex needs a pattern"
                    : "the pattern has \(length) bytes, more than \(Self.lengthLimit)")
        }
        do {
            pattern = try CompiledPattern(
                source, syntax: .unicode, matchLimit: Self.matchLimit, heapLimit: Self.heapLimit)
        } catch {
            throw VerifierError("pattern '\(source.prefix(80))' is wrong at byte \(error.offset): \(error.reason)")
        }
    }

    /// Whether the pattern matches somewhere in `text`.
    /// - Throws: ``VerifierError`` when it gives up, as a pattern that backtracks for ever does.
    func matches(_ text: String) throws(VerifierError) -> Bool {
        let bytes = Array(text.utf8)
        let result = bytes.withUnsafeBufferPointer { buffer in
            Result { () throws(PatternError) in try pattern.matches(buffer) }
        }
        do {
            return try result.get()
        } catch {
            throw VerifierError(
                "pattern '\(source.prefix(80))' gives up on a response of \(bytes.count) bytes: \(error.reason); write "
                    + "it so that it cannot backtrack")
        }
    }

    package static func == (a: ResponsePattern, b: ResponsePattern) -> Bool { a.source == b.source }
}

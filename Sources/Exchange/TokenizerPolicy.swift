import Wire

/// What decides which tokenizers teachers may have.
package protocol TokenizerPolicy: Sendable {
    /// Whether a member's teacher reads what is written in this run. It is asked for every hello, and must answer soon.
    func verdict(on hello: Hello, teacher: String) -> TokenizerVerdict
}

/// What a policy says of a teacher's tokenizer.
package enum TokenizerVerdict: Sendable, Equatable {
    /// It will do. Foreign ids are those that mean something to the teacher and nothing to the student.
    case accepted(foreignIDs: Set<Int32>)
    /// It will not; the reason in words follows a colon and has no end mark.
    case refused(reason: String)

    /// Why it will not do; nil: it will.
    var refusal: String? { if case .refused(let reason) = self { reason } else { nil } }
}

/// Which ids a teacher can grade.
///
/// A student may sample any id that its model has a row for, and some rows are for no token: they pad its vocabulary. A
/// teacher has no logit for an id beyond its own rows, and takes a foreign id for another word than the student wrote.
struct GradableTokens: Sendable, Equatable {
    /// Ids are below this.
    var limit = Int32.max
    var foreignIDs: Set<Int32> = []
    /// The longest sequence that it reads, as far as it is known.
    var contextLength = Int.max

    /// The first id that has no grade, in words; nil: all have.
    /// - Parameter isRetokenized: whether its own tokenizer has made them.
    func reasonUngradable(_ ids: [Int32], teacher: String, isRetokenized: Bool = false) -> String? {
        guard limit < .max || !foreignIDs.isEmpty else { return nil }
        guard let id = ids.first(where: { $0 >= limit || foreignIDs.contains($0) }) else { return nil }
        if isRetokenized {
            return "its tokenizer has token id \(id) in the response, for which teacher '\(teacher)' has no logit"
        }
        return id >= limit
            ? "the student sampled token id \(id), for which teacher '\(teacher)' has no logit"
            : "the student sampled token id \(id), which its tokenizer lacks and teacher '\(teacher)' takes for a token"
    }
}

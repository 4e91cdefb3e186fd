import Wire

extension Exchange {
    /// Remembers which ids a teacher grades. Of members that tell different things the narrowest holds.
    mutating func noteTokens(of teacher: String, _ hello: Hello) {
        var tokens = gradableTokens[teacher] ?? GradableTokens()
        if let count = hello.teacher?.vocabularySize, count > 0, count < Int(options.vocabularySize) {
            tokens.limit = min(tokens.limit, Int32(count))
        }
        if case .accepted(let foreignIDs) = options.tokenizers?.verdict(on: hello, teacher: teacher) {
            tokens.foreignIDs.formUnion(foreignIDs)
        }
        gradableTokens[teacher] = tokens
    }

    /// Why a member's tokenizer will not do; nil: it will, or it is not known.
    func refusalOfTokenizer(_ hello: Hello) -> Reject? {
        guard let expected = options.tokenizerFingerprint, let theirs = hello.tokenizerFingerprint, theirs != expected
        else { return nil }
        var what = "the tokenizer of \(hello.name)"
        var reason: String?
        if let teacher = hello.teachers.first {
            what = "the tokenizer of teacher '\(teacher)'"
            if let tokenizers = options.tokenizers {
                let asked = Set(hello.teachers).intersection(known(hello.role)).sorted()
                reason = asked.lazy.compactMap { tokenizers.verdict(on: hello, teacher: $0).refusal }.first
                if reason == nil { return nil }
            }
        }
        return Reject(
            code: .tokenizerMismatch,
            message: "\(what) differs from the student's\(reason.map { ": \($0)" } ?? ""); a teacher must read the "
                + "very tokens that the student writes: choose models with one tokenizer")
    }
}

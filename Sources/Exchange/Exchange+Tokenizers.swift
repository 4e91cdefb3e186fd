import Distillation
import Tokens
import Wire

extension Exchange {
    /// Remembers which ids a teacher grades. Of members that tell different things the narrowest holds.
    mutating func noteTokens(of teacher: String, _ hello: Hello) {
        var tokens = gradableTokens[teacher] ?? GradableTokens()
        let readsOwn = options.retokenizers[teacher] != nil
        if let context = hello.teacher?.contextLength, context > 0 {
            tokens.contextLength = min(tokens.contextLength, context)
        }
        if let count = hello.teacher?.vocabularySize, count > 0, readsOwn || count < Int(options.vocabularySize) {
            tokens.limit = min(tokens.limit, Int32(count))
        }
        if case .accepted(let foreignIDs) = options.tokenizers?.verdict(on: hello, teacher: teacher) {
            tokens.foreignIDs.formUnion(foreignIDs)
        }
        gradableTokens[teacher] = tokens
    }

    /// A response as those teachers read it that have other tokenizers, by label.
    func retokenized(_ trajectory: Trajectory, _ teachers: [PromptTeacher]) -> [String: RetokenizedResponse] {
        guard !options.retokenizers.isEmpty else { return [:] }
        var result: [String: RetokenizedResponse] = [:]
        for label in teachers.map(\.label) {
            result[label] = options.retokenizers[label]?(trajectory.responseIDs, trajectory.finishReason == .length)
        }
        return result
    }

    /// Why a member's tokenizer will not do; nil: it will, or it is not known.
    func refusalOfTokenizer(_ hello: Hello) -> Reject? {
        guard let expected = options.tokenizerFingerprint, let theirs = hello.tokenizerFingerprint else { return nil }
        // Who grades in tokens of its own must have those, and not the student's.
        let gradesOwn = Set(hello.teachers).intersection(known(hello.role)).contains { options.retokenizers[$0] != nil }
        guard theirs != expected || gradesOwn else { return nil }
        var what = "the tokenizer of \(hello.name)"
        var reason: String?
        if let teacher = hello.teachers.first {
            what = "the tokenizer of teacher '\(teacher)'"
            if let tokenizers = options.tokenizers {
                let asked = Set(hello.teachers).intersection(known(hello.role)).sorted()
                reason = asked.lazy.compactMap { tokenizers.verdict(on: hello, teacher: $0).refusal }.first
                guard let reason else { return nil }
                if asked.contains(where: { options.retokenizers[$0] != nil }) {
                    return Reject(
                        code: .tokenizerMismatch, message: "\(what) is not the one that this run knows: \(reason)")
                }
            }
        }
        return Reject(
            code: .tokenizerMismatch,
            message: "\(what) differs from the student's\(reason.map { ": \($0)" } ?? ""); a teacher must read the "
                + "very tokens that the student writes: choose models with one tokenizer")
    }
}

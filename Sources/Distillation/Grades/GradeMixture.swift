/// A teacher that grades responses to a prompt.
package struct PromptTeacher: Sendable, Equatable {
    package var label: String
    /// Its share in what all teachers of the prompt say together; their shares add up to 1.
    package var share: Double
    /// What it reads in the prompt's place; nil: the prompt itself.
    package var view: PromptView?

    package init(label: String, share: Double, view: PromptView? = nil) {
        self.label = label
        self.share = share
        self.view = view
    }
}

/// What a teacher read of the sequence that it graded, for those who count operations and name teachers.
package struct TeacherReading: Sendable, Equatable {
    package var label: String
    /// Tokens of the prompt as it was shown it.
    package var promptCount: Int
    /// Tokens of the response as its tokenizer cuts it; nil: those of the student.
    package var responseCount: Int?

    package init(label: String, promptCount: Int, responseCount: Int? = nil) {
        self.label = label
        self.promptCount = promptCount
        self.responseCount = responseCount
    }
}

/// What one of several teachers of a prompt lists at every token of a response.
package struct SharedTopTokens: Sendable, Equatable {
    /// The teacher's share.
    package var share: Double
    package var top: TopTokens

    package init(share: Double, top: TopTokens) {
        self.share = share
        self.top = top
    }
}

extension Grade {
    /// What several teachers say together of sampled tokens: t = sum of share_k t_k.
    ///
    /// It is the logarithmic opinion pool (C. Genest and J. Zidek, 1986, "Combining probability distributions"), whose
    /// reverse KL is the weighted sum of the teachers' own, but for a term that the student has no part in (T. Heskes,
    /// 1997, "Selecting weighting factors in logarithmic opinion pools"): each teacher is learnt from by its share, and
    /// what one of them finds impossible stays so. The pool is not normalised: its normaliser depends on what stands
    /// before a token alone, and so adds nothing to the expected gradient. A teacher that cannot compare a token has no say
    /// in it: t is that of the others, by the shares that they have among themselves.
    ///
    /// What each lists beside sampled tokens stays its own: whole distributions are compared with each of them.
    /// - Parameter parts: shares and grades, at least one, in an order of the caller's that does not change; hidden states
    ///   are those of a single one, or left out.
    package init(mixing parts: [(share: Double, grade: Grade)]) {
        guard parts.count > 1, let first = parts.first else {
            self = parts.first?.grade ?? Grade(logprobs: [])
            return
        }
        func mixed(_ parts: [(share: Double, grade: Grade)], at index: Int) -> Double {
            parts.reduce(0) { $0 + $1.share * Double($1.grade.logprobs[index]) }
        }
        let indices = first.grade.logprobs.indices
        guard parts.contains(where: { $0.grade.comparisons != nil }) else {
            self.init(logprobs: indices.map { Float(mixed(parts, at: $0)) })
            let lists = parts.compactMap { part in
                part.grade.top.map { SharedTopTokens(share: part.share, top: $0) }
            }
            // One that told nothing has no numbers either, and the step is judged.
            if lists.count == parts.count { self.lists = lists }
            return
        }
        var logprobs: [Float] = [], comparisons: [TokenComparison] = []
        for index in indices {
            let able = parts.filter { $0.grade.comparison(at: index) != .none }
            switch able.count {
            case 0: logprobs.append(first.grade.logprobs[index])
            case parts.count: logprobs.append(Float(mixed(parts, at: index)))
            default: logprobs.append(Float(mixed(able, at: index) / able.reduce(0) { $0 + $1.share }))
            }
            let isOwn = parts.allSatisfy { $0.grade.comparison(at: index) == .own }
            comparisons.append(able.isEmpty ? .none : isOwn ? .own : .shared)
        }
        self.init(logprobs: logprobs)
        self.comparisons = comparisons
    }

    private func comparison(at index: Int) -> TokenComparison { comparisons?[index] ?? .own }
}

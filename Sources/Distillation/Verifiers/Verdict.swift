import Wording

/// What a verifier says of a response.
package struct Verdict: Sendable, Equatable {
    /// 0 ... 1.
    package var reward: Double
    /// Whether the response counts as right.
    package var passed: Bool
    /// Why the response could not be judged, for a person; nil: it could.
    package var flaw: String?

    package init(reward: Double, passed: Bool, flaw: String? = nil) {
        self.reward = reward
        self.passed = passed
        self.flaw = flaw
    }

    /// Makes a verdict with all of the reward or none.
    init(passed: Bool) { self.init(reward: passed ? 1 : 0, passed: passed) }
}

/// How one problem's responses are judged: its verifier, and the answer that it compares with.
package struct AnswerCheck: Sendable, Equatable {
    package var answer: String
    package var verifier: Verifier

    /// - Throws: ``VerifierError`` when the verifier cannot use the answer.
    package init(answer: String, verifier: Verifier) throws(VerifierError) {
        self.answer = answer
        self.verifier = verifier
        switch verifier {
        case .numeric where LastNumber.number(answer) == nil:
            throw VerifierError("verifier numeric needs an answer that is a number, not '\(answer.prefix(80))'")
        case .exact where verifier.isEmptyAnswer(answer): throw VerifierError("verifier exact needs an answer")
        case .regex(nil, _): self.verifier = .regex(try ResponsePattern(answer), after: verifier.marker)
        default: break
        }
    }

    /// Makes a check of an answer that is known to fit the verifier.
    init(known answer: String, _ verifier: Verifier) {
        self.answer = answer
        self.verifier = verifier
    }

    /// Judges a response's text, special tokens left out.
    package func verdict(on response: String) -> Verdict { verifier.verdict(on: response, answer: answer) }
}

/// A verifier that cannot be: one line for a person.
package struct VerifierError: MessageError, Equatable {
    package var message: String
    package init(_ message: String) { self.message = message }
}

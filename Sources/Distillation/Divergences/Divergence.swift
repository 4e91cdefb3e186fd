/// How far a student's distribution p is from its teacher's q at one position, over all classes that the token can be of.
///
/// The classes are the tokens of the vocabulary, or those of ``TokenClasses``. The value is an exact expectation, not an
/// estimate from the token that was sampled. All of them are 0 where p = q and nowhere else.
package enum Divergence: Sendable, Equatable, Codable {
    /// ``reverseKLTerm(student:teacher:)``.
    case reverseKL
    /// ``forwardKLTerm(student:teacher:)``.
    case forwardKL
    /// ``jensenShannonTerm(student:teacher:beta:)``; beta is above 0 and below 1.
    case jensenShannon(beta: Double)
    /// ``skewKLTerm(student:teacher:skew:)``; the skew is above 0 and below 1.
    case skewKL(skew: Double)
    /// ``skewReverseKLTerm(student:teacher:skew:)``; the skew is above 0 and below 1.
    case skewReverseKL(skew: Double)

    /// What one class adds, from log p and log q in nats.
    package func term(student: Double, teacher: Double) -> DivergenceTerm {
        switch self {
        case .reverseKL: reverseKLTerm(student: student, teacher: teacher)
        case .forwardKL: forwardKLTerm(student: student, teacher: teacher)
        case .jensenShannon(let beta): jensenShannonTerm(student: student, teacher: teacher, beta: beta)
        case .skewKL(let skew): skewKLTerm(student: student, teacher: teacher, skew: skew)
        case .skewReverseKL(let skew): skewReverseKLTerm(student: student, teacher: teacher, skew: skew)
        }
    }

    /// The divergence of one position and its gradient in the student's logits.
    ///
    /// With D = sum_i d(p_i, q_i) and p = softmax(z), dD/dz_j = p_j (g_j - sum_i p_i g_i), g_i being the derivative of d
    /// in p_i.
    /// - Parameters:
    ///   - student: log p, one a class; exp of them sums to 1.
    ///   - teacher: log q, of the same classes.
    /// - Returns: infinity where the divergence has no bound and one side finds impossible what the other expects; the
    ///   reverse KL's gradient is not finite there either. What is no number on either side leaves none.
    package func position(student: [Double], teacher: [Double]) -> PositionDivergence {
        precondition(student.count == teacher.count, "one log-probability a class on either side")
        var value = 0.0, mean = 0.0
        var gradient = [Double](repeating: 0, count: student.count)
        for index in student.indices {
            let term = term(student: student[index], teacher: teacher[index])
            value += term.value
            mean += term.pull
            gradient[index] = term.pull
        }
        for index in gradient.indices { gradient[index] -= probability(student[index]) * mean }
        return PositionDivergence(value: value, gradient: gradient)
    }
}

/// What is compared of the distributions of student and teacher, by the name that the configuration gives it beside the
/// parameters of ``Divergence``.
package enum DivergenceKind: String, Sendable, CaseIterable {
    /// The probability of the sampled token, from which the reverse KL is estimated.
    case sampled
    case reverseKL = "reverse_kl"
    case forwardKL = "forward_kl"
    case jensenShannon = "jsd"
    case skewKL = "skew_kl"
    case skewReverseKL = "skew_reverse_kl"
}

/// What one class adds to a divergence D.
package struct DivergenceTerm: Sendable, Equatable {
    /// Its part of D, in nats; a single one may be negative.
    package var value: Double
    /// p times the derivative of D in p, up to a multiple of p that is the same for all classes and cancels in the
    /// logits: chosen so that it is exactly 0 where p = q.
    package var pull: Double

    package init(value: Double, pull: Double) {
        self.value = value
        self.pull = pull
    }

    /// The term of a class without probability on either side.
    package static let none = DivergenceTerm(value: 0, pull: 0)
}

/// A divergence at one position.
package struct PositionDivergence: Sendable, Equatable {
    /// D, in nats; at least 0 but for rounding.
    package var value: Double
    /// dD/dz, one a class, z being the student's logits as they enter the softmax, already divided by the temperature.
    /// Its sum is 0.
    package var gradient: [Double]

    package init(value: Double, gradient: [Double]) {
        self.value = value
        self.gradient = gradient
    }
}

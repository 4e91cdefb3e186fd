import Glibc

/// The skewed forward divergence KL(q || m) with m = skew q + (1 - skew) p, of the teacher from a mixture that has some of
/// it: at most -log(skew), whatever the student finds impossible.
///
/// It becomes the forward KL as the skew goes to 0. Source: J. Ko and others, "DistiLLM", arXiv:2402.03898, section 3.1,
/// where alpha is the skew (0.1 there), p the teacher and q the student.
/// - Parameters:
///   - student: log p of one class.
///   - teacher: log q of the same.
///   - skew: above 0 and below 1.
package func skewKLTerm(student: Double, teacher: Double, skew: Double) -> DivergenceTerm {
    let p = probability(student), q = probability(teacher)
    guard p != 0 || q != 0 else { return .none }
    // log(q / m), at most -log(skew).
    let excess = -logMixture(share: 1 - skew, of: student - teacher)
    // The derivative in p is -(1 - skew) q / m, to which 1 - skew is added.
    return DivergenceTerm(value: q != 0 ? q * excess : 0, pull: -(1 - skew) * p * expm1(excess))
}

/// The skewed reverse divergence KL(p || m) with m = (1 - skew) q + skew p, of the student from a mixture that has some of
/// it: at most -log(skew), whatever the teacher finds impossible.
///
/// It becomes the reverse KL as the skew goes to 0. The gradient goes through p and m alike. Source: as of
/// ``skewKLTerm(student:teacher:skew:)``.
/// - Parameters:
///   - student: log p of one class.
///   - teacher: log q of the same.
///   - skew: above 0 and below 1.
package func skewReverseKLTerm(student: Double, teacher: Double, skew: Double) -> DivergenceTerm {
    let p = probability(student)
    guard p != 0 else { return .none }
    // log(p / m), at most -log(skew).
    let excess = -logMixture(share: 1 - skew, of: teacher - student)
    // The derivative in p is log(p / m) + 1 - skew p / m, from which 1 - skew is taken.
    return DivergenceTerm(value: p * excess, pull: p * (excess - skew * expm1(excess)))
}

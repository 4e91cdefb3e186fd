/// The reverse Kullback-Leibler divergence KL(p || q) = sum_i p_i (log p_i - log q_i), of the student from its teacher.
///
/// It is what the sampled token's k = log p - log q estimates. It asks the student to stay where its teacher goes, and
/// is infinite where the student expects what the teacher finds impossible. Source: Y. Gu and others, "MiniLLM",
/// arXiv:2306.08543, equation 1.
/// - Parameters:
///   - student: log p of one class.
///   - teacher: log q of the same.
package func reverseKLTerm(student: Double, teacher: Double) -> DivergenceTerm {
    let p = probability(student)
    guard p != 0 else { return .none }
    let value = p * (student - teacher)
    // The derivative in p is log p - log q + 1, of which the 1 cancels.
    return DivergenceTerm(value: value, pull: value)
}

/// The forward Kullback-Leibler divergence KL(q || p) = sum_i q_i (log q_i - log p_i), of the teacher from its student.
///
/// Its gradient is that of the cross-entropy of the teacher's whole distribution, p - q in the logits. It asks the
/// student to go wherever its teacher does, and is infinite where the student finds impossible what the teacher expects.
/// Source: R. Agarwal and others, "On-policy distillation of language models" (GKD), arXiv:2306.13649, equation 1.
/// - Parameters:
///   - student: log p of one class.
///   - teacher: log q of the same.
package func forwardKLTerm(student: Double, teacher: Double) -> DivergenceTerm {
    let q = probability(teacher)
    let value = q != 0 ? q * (teacher - student) : 0
    // The derivative in p is -q / p, to which 1 is added.
    return DivergenceTerm(value: value, pull: probability(student) - q)
}

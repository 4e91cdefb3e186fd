/// The generalised Jensen-Shannon divergence beta KL(q || m) + (1 - beta) KL(p || m) with m = beta q + (1 - beta) p.
///
/// The convention is that of GKD: beta is the share of the teacher. Divided by beta it becomes the forward KL as beta
/// goes to 0, divided by 1 - beta the reverse KL as beta goes to 1; at 0 and 1 themselves it is 0 and teaches nothing.
/// It is bounded by the entropy of beta, log 2 at most, whatever either side finds impossible. Source: R. Agarwal and
/// others, arXiv:2306.13649, equation 1 and the limits below it, where P is the teacher and Q the student.
/// - Parameters:
///   - student: log p of one class.
///   - teacher: log q of the same.
///   - beta: above 0 and below 1.
package func jensenShannonTerm(student: Double, teacher: Double, beta: Double) -> DivergenceTerm {
    let p = probability(student), q = probability(teacher)
    guard p != 0 || q != 0 else { return .none }
    let ratio = teacher - student
    // log(p / m) and log(q / m). The derivative in p is (1 - beta) log(p / m): what m gains and p loses cancels.
    let ofStudent = p != 0 ? -(1 - beta) * p * logMixture(share: beta, of: ratio) : 0
    let ofTeacher = q != 0 ? -beta * q * logMixture(share: 1 - beta, of: -ratio) : 0
    return DivergenceTerm(value: ofTeacher + ofStudent, pull: ofStudent)
}

import Distillation
import Wire

extension Exchange {
    /// Why a scorer's hidden states are none for the head that the learner has; nil: they are, or nobody wants any.
    func refusalOfHead(_ hello: Hello) -> Reject? {
        let needed = hello.teachers.sorted().lazy.compactMap { label in self.plan.heads[label].map { (label, $0) } }
        guard let (label, head) = needed.first(where: { $1.fingerprint != hello.teacher?.headFingerprint }) else {
            return nil
        }
        guard let theirs = hello.teacher?.headFingerprint else {
            return Reject(
                code: .unsuitableTeacher,
                message: "\(hello.name) sends no last hidden states, and this run needs those of teacher '\(label)' "
                    + "(objective.support: full, or top_k_from: student or union); use opd's native engine there, or support: "
                    + "top_k with top_k_from: teacher")
        }
        return Reject(
            code: .unsuitableTeacher,
            message: "the head of teacher '\(label)' at \(hello.name) (\(theirs)) is not the one in the learner's "
                + "teachers.\(label).model (\(head.fingerprint)); give both the same files and the same dtype")
    }
}

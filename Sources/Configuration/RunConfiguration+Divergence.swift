import Distillation

extension RunConfiguration {
    /// Keys about whole distributions that do not go together, in a run whose teachers grade.
    var divergenceContradictions: [(key: String, message: String)] {
        let method = objective, standard = Method(), chosen = "objective.divergence \(objective.divergence.rawValue)"
        var found: [(key: String, message: String)] = []
        func conflict(_ key: String, _ isGiven: Bool, _ message: String) {
            if isGiven { found.append((key, message)) }
        }
        let useless = "has no meaning with \(chosen); leave it out"
        conflict("objective.beta", method.divergence != .jensenShannon && method.beta != standard.beta, useless)
        let isSkewed = method.divergence == .skewKL || method.divergence == .skewReverseKL
        conflict("objective.skew", !isSkewed && method.skew != standard.skew, useless)
        guard method.divergence != .sampled else {
            conflict("objective.support", method.support != standard.support, useless)
            conflict("objective.top_k", method.topK != standard.topK, useless)
            conflict("objective.top_k_from", method.topKFrom != standard.topKFrom, useless)
            return found
        }
        conflict("objective.advantage", method.advantage != standard.advantage, useless)
        conflict("objective.baseline", method.baseline != standard.baseline, useless)
        conflict("objective.kl_discount", method.klDiscount != standard.klDiscount, useless)
        conflict("objective.log_ratio_limit", method.logRatioLimit != standard.logRatioLimit, useless)
        conflict("objective.teacher_mix", method.teacherMix != standard.teacherMix, useless)
        conflict("objective.loss", !kind.usesReward && method.loss != standard.loss, useless)
        let isFull = method.support == .full
        conflict(
            "objective.top_k", isFull && method.topK != standard.topK,
            "with objective.support full all tokens are compared; leave it out")
        conflict(
            "objective.top_k_from", isFull && method.topKFrom != standard.topKFrom,
            "with objective.support full all tokens are compared; leave it out")
        conflict(
            "student.engine", student.engine == .torch,
            "torch trains on sampled tokens alone, and this run has \(chosen); use native, or sampled")
        for (label, teacher) in usedTeachers.sorted(by: { $0.key < $1.key }) {
            let key = "teachers.\(label)"
            conflict(
                "\(key).server", teacher.server.isGiven && teacher.server.kind != .vllm,
                "such a server is asked for the sampled token alone, and this run has \(chosen); use vllm, give the model "
                    + "itself, or use sampled")
            if let use = method.headUse, teacher.server.kind == .vllm {
                conflict(
                    "\(key).server", teacher.server.isGiven,
                    "a server sends no last hidden states, which \(use) needs; \(method.headAlternative), or give the "
                        + "model itself")
            }
            conflict(
                "\(key).engine", teacher.engine == .torch,
                "torch grades the sampled token alone, and this run has \(chosen); use native, or sampled")
            conflict(
                "\(key).token_map", teacher.tokenMap != .strict,
                "a teacher with tokens of its own may list some that the student does not have, and this run has "
                    + "\(chosen); choose models with one tokenizer, or sampled")
        }
        return found
    }
}

/// How much better than the student's own choice the teacher finds a token.
///
/// Source: "On-Policy Distillation", K. Lu and others, Thinking Machines, October 2025.
package enum AdvantageKind: String, Sendable, Codable, CaseIterable {
    /// A = -c (b - t), from the log-probability recorded while sampling.
    case behaviour
    /// A = stopgrad(c (t - s)), from the policy being trained: for rollouts that may be stale.
    case current
}

/// What is subtracted from every advantage of a batch.
///
/// A constant times the gradient of a sampled token's log-probability has expectation 0, so a baseline leaves the
/// gradient's mean as it is and takes noise out of it: Williams, 1992 (REINFORCE).
package enum BaselineKind: String, Sendable, Codable, CaseIterable {
    case none
    /// The mean over the batch's response tokens, under the policy that sampled them.
    case batchMean = "batch_mean"
    /// The constant that leaves the least noise: the mean weighted with the squared length of what an advantage
    /// multiplies, the gradient of log p, which is about 1 - p in the logits.
    ///
    /// A student that is mostly sure and rarely wrong has few tokens with large negative advantages and many with
    /// advantages near 0. Their mean is near 0 too, and takes next to nothing away; this one moves most of the signal
    /// from the rare wrong tokens to the frequent right ones. Source: E. Greensmith, P. Bartlett and J. Baxter,
    /// "Variance reduction techniques for gradient estimates in reinforcement learning", JMLR 5, 2004.
    case leastVariance = "least_variance"
}

/// Per-token reverse-KL estimate k = p - t, in nats.
///
/// Its mean over tokens sampled from the policy estimates KL(policy || teacher). Exactly 0 where the two agree.
/// - Parameters:
///   - policy: log-probability of each sampled token under the student (b while sampling, or s while training).
///   - teacher: t, log-probability of the same tokens under the teacher. Same length.
package func reverseKL(policy: [Float], teacher: [Float]) -> [Double] {
    precondition(policy.count == teacher.count, "one teacher log-probability a token")
    return zip(policy, teacher).map { Double($0) - Double($1) }
}

/// Advantages A_i = -c sum_{j >= 0} discount^j k_{i+j}, c the KL coefficient.
///
/// With discount 0 (the default of the method) every token answers only for itself: A_i = -c k_i.
/// - Parameters:
///   - reverseKL: k of one response, in order of its tokens.
///   - coefficient: c, at least 0.
///   - discount: 0 ... 1.
package func advantages(reverseKL: [Double], coefficient: Double, discount: Double) -> [Double] {
    guard discount != 0 else { return reverseKL.map { -coefficient * $0 } }
    var result = reverseKL
    var tail = 0.0
    for index in reverseKL.indices.reversed() {
        tail = reverseKL[index] + discount * tail
        result[index] = -coefficient * tail
    }
    return result
}

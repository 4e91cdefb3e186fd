/// What bounds the log-ratio k = log p - log q of student and teacher, so that one token which the teacher finds next to
/// impossible does not decide a batch.
///
/// Neither bound changes what the student is taught in the end: k keeps its sign and its order, and is exactly 0 where
/// the two agree.
package struct LogRatioBounds: Sendable, Equatable, Codable {
    /// Largest |k| in nats, above 0; nil: none.
    package var limit: Double?
    /// a, above 0 and at most 1: the reward is log(a r + 1 - a) in place of log r, r = q / p; 1: log r itself.
    ///
    /// It is bounded below by log(1 - a), and its mean over the student's tokens is -KL(p || a q + (1 - a) p): the skewed
    /// reverse divergence whose skew is 1 - a (``skewReverseKLTerm(student:teacher:skew:)``; J. Ko and others,
    /// arXiv:2402.03898), with the mixture taken as a constant.
    package var teacherMix: Double

    package init(limit: Double? = nil, teacherMix: Double = 1) {
        self.limit = limit
        self.teacherMix = teacherMix
    }

    /// Whether k stays as it is, whatever it is.
    package var isOpen: Bool { limit == nil && teacherMix == 1 }

    /// Whether the limit changes this k.
    package func clamps(_ k: Double) -> Bool { limit.map { abs(k) > $0 } ?? false }

    /// k clamped to -limit ... limit, then mixed: -log(a exp(-k) + 1 - a). What is no number stays none.
    package func bounded(_ k: Double) -> Double {
        let clamped = limit.map { min(max(k, -$0), $0) } ?? k
        return teacherMix < 1 ? -logMixture(share: teacherMix, of: -clamped) : clamped
    }
}

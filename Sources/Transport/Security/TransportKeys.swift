import ZeroMQ

/// What a learner encrypts with, and whom it lets in.
package struct LearnerKeys: Sendable {
    package var keys: CurveKeyPair
    package var policy: AccessPolicy

    package init(keys: CurveKeyPair, policy: AccessPolicy) {
        self.keys = keys
        self.policy = policy
    }
}

/// What a member encrypts with, and the learner it talks to.
package struct MemberKeys: Sendable {
    package var keys: CurveKeyPair
    package var learner: CurveKey

    package init(keys: CurveKeyPair, learner: CurveKey) {
        self.keys = keys
        self.learner = learner
    }
}

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

/// What a member encrypts with, and whom it talks to.
package struct MemberKeys: Sendable {
    package var keys: CurveKeyPair
    package var learner: CurveKey
    /// The key of the relays before the learner; nil: it knows none.
    package var relay: CurveKey?

    package init(keys: CurveKeyPair, learner: CurveKey, relay: CurveKey? = nil) {
        self.keys = keys
        self.learner = learner
        self.relay = relay
    }
}

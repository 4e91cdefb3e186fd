import ZeroMQ

/// What a learner encrypts with, and whom it lets in.
public struct LearnerKeys: Sendable {
    public var keys: CurveKeyPair
    public var policy: AccessPolicy

    public init(keys: CurveKeyPair, policy: AccessPolicy) {
        self.keys = keys
        self.policy = policy
    }
}

/// What a member encrypts with, and the learner it talks to.
public struct MemberKeys: Sendable {
    public var keys: CurveKeyPair
    public var learner: CurveKey

    public init(keys: CurveKeyPair, learner: CurveKey) {
        self.keys = keys
        self.learner = learner
    }
}

import Configuration
import Files
import Transport
import Wire
import Wording
import ZeroMQ

extension RunConfiguration {
    /// Whether the configuration has any key: then nothing of the run is sent in plain text.
    var hasKeys: Bool { security != Security() }

    /// The learner's keys; nil when the configuration has none at all.
    func learnerKeys() throws(UsageError) -> LearnerKeys? {
        guard try usesKeys() else { return nil }
        let keys = try KeyFile.secret(named("learner_key", security.learnerKey, "a learner"))
        return LearnerKeys(keys: keys, policy: try policy(relays: security.relayClients))
    }

    /// The keys of a relay, towards members and towards the learner; nil when the configuration has none at all.
    /// - Parameter isBehindRelay: whether there is another between it and the learner.
    func relayKeys(isBehindRelay: Bool) throws(UsageError) -> (members: LearnerKeys, learner: MemberKeys)? {
        guard try usesKeys() else { return nil }
        let keys = try KeyFile.secret(named("relay_key", security.relayKey, "a relay"))
        let learner = try KeyFile.publicKey(named("learner_public_key", security.learnerPublicKey, "a relay"))
        // A relay that no other goes through needs no list of them.
        let relays = security.relayClients.flatMap { FileTree.kind($0) == .missing ? nil : $0 }
        return (
            LearnerKeys(keys: keys, policy: try policy(relays: relays)),
            MemberKeys(keys: keys, learner: learner, relay: try relayKey(isNeeded: isBehindRelay))
        )
    }

    /// The key of relays that a process goes through; nil: it goes through none.
    private func relayKey(isNeeded: Bool) throws(UsageError) -> CurveKey? {
        guard isNeeded else { return nil }
        guard let path = security.relayPublicKey else {
            throw UsageError(
                "security.relay_public_key is missing, which --relay needs when the configuration has keys")
        }
        return try KeyFile.publicKey(path)
    }

    /// Whom a process lets in that listens.
    /// - Parameter relays: the list of relays' keys; nil: none.
    private func policy(relays: String?) throws(UsageError) -> AccessPolicy {
        let rollout = try security.rolloutClients.map(KeyFile.clients) ?? []
        let scorer = try security.scorerClients.map(KeyFile.clients) ?? []
        guard !rollout.isEmpty, !scorer.isEmpty else {
            let key = rollout.isEmpty ? "security.rollout_clients" : "security.scorer_clients"
            throw UsageError(
                "\(key) names no key, so no such process could join: list the public keys of those that may")
        }
        let relay = try relays.map(KeyFile.clients) ?? []
        var policy = AccessPolicy(rollout: rollout, scorer: scorer, relay: relay)
        policy.scorersFollowWeights = !refreshes.isEmpty
        return policy
    }

    /// The keys of a worker or scorer; nil when the configuration has none at all.
    /// - Parameter isBehindRelay: whether it goes through a relay.
    func memberKeys(_ role: Role, isBehindRelay: Bool = false) throws(UsageError) -> MemberKeys? {
        guard try usesKeys() else { return nil }
        let (name, path) = role == .rollout ? ("rollout_key", security.rolloutKey) : ("scorer_key", security.scorerKey)
        let keys = try KeyFile.secret(named(name, path, "a \(role.text)"))
        let learner = try KeyFile.publicKey(named("learner_public_key", security.learnerPublicKey, "a \(role.text)"))
        return MemberKeys(keys: keys, learner: learner, relay: try relayKey(isNeeded: isBehindRelay))
    }

    /// The keys with which a program that is neither asks a learner for its status: the worker's, or else the scorer's,
    /// for a machine of one of them has no other.
    package func statusKeys() throws(UsageError) -> MemberKeys? {
        let (rollout, scorer) = (security.rolloutKey, security.scorerKey)
        guard let rollout else { return try memberKeys(.scorer) }
        let isScorers = FileTree.kind(rollout) == .missing && scorer.map { FileTree.kind($0) != .missing } ?? false
        return try memberKeys(isScorers ? .scorer : .rollout)
    }

    /// Checks, before any is started, that the processes of a run on one machine have keys that fit together.
    package func checkKeys() throws(UsageError) {
        guard let learner = try learnerKeys() else { return }
        for role in [Role.rollout, .scorer] {
            guard let member = try memberKeys(role) else { return }
            guard member.learner == learner.keys.publicKey else {
                let (named, own) = (security.learnerPublicKey ?? "", security.learnerKey ?? "")
                throw UsageError(
                    "\(named) is not the public key of \(own); "
                        + "set security.learner_public_key to the file that was made with it")
            }
            let hello = Message.hello(
                Hello(role: role, name: "", tokenizerFingerprint: nil, processID: 0))
            if learner.policy.refusal(of: hello, from: member.keys.publicKey) != nil {
                let name = role == .rollout ? "rollout" : "scorer"
                throw UsageError(
                    "security.\(name)_key: its public key \(member.keys.publicKey) is not in security.\(name)_clients; add it there"
                )
            }
        }
    }

    /// Endpoints of relays, from a list with commas between; none: a process goes to the learner itself.
    func relays(_ list: String?, isEncrypted: Bool) throws(UsageError) -> [String] {
        guard let list else { return [] }
        return try EndpointPolicy.endpoints(
            list, allowPlaintext: pipeline.allowPlaintext, isEncrypted: isEncrypted)
    }

    private func usesKeys() throws(UsageError) -> Bool {
        guard hasKeys else { return false }
        guard Context.supports("curve") else {
            throw UsageError("this libzmq was built without CURVE, so keys cannot be used; install one with libsodium")
        }
        return true
    }

    /// A path that must be set: what has some keys must not fall back to plain text for want of others.
    private func named(_ name: String, _ path: String?, _ who: String) throws(UsageError) -> String {
        if let path { return path }
        throw UsageError("security.\(name) is missing, which \(who) needs when the configuration has keys")
    }
}

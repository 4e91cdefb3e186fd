import Wire
import ZeroMQ

/// Which client key may do what: the one place that decides it.
///
/// A key is in the list of a role, or of both. A connection is known by the key it has proved to hold, and every
/// message is judged by that key, whatever the peer calls itself.
package struct AccessPolicy: Sendable, Equatable {
    private let roles: [CurveKey: Set<Role>]
    /// Keys of relays: what comes over their connections is others', of either role, whom they have let in.
    package let relays: Set<CurveKey>
    /// Whether scorers may ask for weights, as teachers do that are the student's earlier self.
    package var scorersFollowWeights = false

    /// - Parameters:
    ///   - rollout: public keys of rollout workers.
    ///   - scorer: public keys of scorers.
    ///   - relay: public keys of relays.
    package init(rollout: Set<CurveKey>, scorer: Set<CurveKey>, relay: Set<CurveKey> = []) {
        var roles: [CurveKey: Set<Role>] = [:]
        for key in rollout.union(relay) { roles[key, default: []].insert(.rollout) }
        for key in scorer.union(relay) { roles[key, default: []].insert(.scorer) }
        self.roles = roles
        relays = relay
    }

    /// Whether a holder of this key may connect at all.
    package func admits(_ key: CurveKey) -> Bool { roles[key] != nil }

    /// Why `message` is not to be taken from the holder of `key`, in one line; nil when it is.
    package func refusal(of message: Message, from key: CurveKey) -> String? {
        guard let allowed = roles[key] else { return "its key is in no list of clients" }
        guard var wanted = message.senders else { return "only a learner sends \(message.name)" }
        if scorersFollowWeights, case .weightsRequest = message { wanted.insert(.scorer) }
        guard allowed.isDisjoint(with: wanted) else { return nil }
        let held = allowed.map(\.text).sorted().joined(separator: " or a ")
        if case .hello(let hello) = message {
            return "its key is that of a \(held), not of a \(hello.role.text)"
        }
        return "its key is that of a \(held), which does not send \(message.name)"
    }
}

extension Role {
    /// The role as people call it.
    package var text: String { self == .rollout ? "rollout worker" : "scorer" }
}

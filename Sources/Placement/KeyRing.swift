import Configuration
import Files
import Glibc
import Transport
import Wording

/// Keys that `opd up` makes for a run whose configuration has none: one of each kind for every machine.
///
/// A learner reads who may join when it starts, so that some are made for machines that come later.
package struct KeyRing: Sendable {
    private let folder: String
    /// Machines for which keys are made beyond those that there are.
    private static let spare = 16

    /// - Parameter records: the folder of the run's records.
    package init(records: String) { folder = records.appendingPath("keys") }

    /// Whether a run needs keys that its configuration does not have.
    package static func isNeeded(for configuration: RunConfiguration, _ learner: HostsFile.Learner) -> Bool {
        configuration.security == .init()
            && [learner.endpoint, learner.listening].contains { endpoint in
                let allowed = configuration.pipeline.allowPlaintext
                return (try? EndpointPolicy.check(endpoint, allowPlaintext: allowed, isEncrypted: false)) == nil
            }
    }

    /// Makes the keys that are missing for `count` machines and some more.
    /// - Parameter isListening: whether a learner has read the lists already, so that no key can be added.
    package func prepare(for count: Int, isListening: Bool) throws(UsageError) {
        if hasKeys(number: count - 1) { return }
        guard !isListening else {
            throw UsageError(
                "the learner lets in no more machines than it knew when it was started; 'opd down' and then 'opd up' make "
                    + "keys for more")
        }
        if FileTree.kind(path("learner.key")) == .missing { _ = try KeyFile.generate(path("learner")) }
        for role in ["rollout", "scorer"] {
            var clients: [String] = []
            for number in 0..<(count + Self.spare) {
                let name = "\(role)-\(number)"
                if FileTree.kind(path("\(name).key")) == .missing { _ = try KeyFile.generate(path(name)) }
                clients.append("\(try KeyFile.publicKey(path("\(name).pub"))) \(name)")
            }
            do {
                try FileTree.write(
                    "# Public keys that may connect, one a line, each with a name for people.\n"
                        + clients.joined(separator: "\n") + "\n", to: path("\(role).clients"))
            } catch { throw UsageError("\(error); the list of clients was not written") }
        }
    }

    private func hasKeys(number: Int) -> Bool {
        ["learner.key", "rollout-\(number).key", "scorer-\(number).key", "rollout.clients", "scorer.clients"]
            .allSatisfy { FileTree.kind(path($0)) != .missing }
    }

    /// The keys of a machine with this number, and what it does.
    package func keys(number: Int, _ processes: [PlacedProcess]) -> HostKeys {
        var all = HostKeys()
        all.learner = path("learner.key")
        all.learnerPublic = path("learner.pub")
        all.rollout = path("rollout-\(number).key")
        all.scorer = path("scorer-\(number).key")
        all.rolloutClients = path("rollout.clients")
        all.scorerClients = path("scorer.clients")
        return all.needed(by: processes)
    }

    private func path(_ name: String) -> String { folder.appendingPath(name) }
}

extension HostKeys {
    /// The keys that a configuration names; nil: it has none.
    package init?(_ configuration: RunConfiguration) {
        let security = configuration.security
        guard security != .init() else { return nil }
        learner = security.learnerKey
        learnerPublic = security.learnerPublicKey
        rollout = security.rolloutKey
        scorer = security.scorerKey
        rolloutClients = security.rolloutClients
        scorerClients = security.scorerClients
        relayClients = security.relayClients
    }

    /// Those of them that a machine with these processes needs. The learner's also has a scorer's, with which it is asked
    /// how the run is: a scorer may do no more than grade.
    package func needed(by processes: [PlacedProcess]) -> HostKeys {
        var needed = HostKeys()
        needed.learnerPublic = learnerPublic
        for process in processes {
            switch process.role {
            case .learner:
                needed.learner = learner
                needed.rolloutClients = rolloutClients
                needed.scorerClients = scorerClients
                needed.relayClients = relayClients
                needed.scorer = scorer
            case .rollout: needed.rollout = rollout
            case .scorer: needed.scorer = scorer
            }
        }
        return needed
    }
}

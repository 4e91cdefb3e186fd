import ArgumentParser
import Transport

struct KeygenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen", abstract: "Make keys that encrypt a run and say who may join it.",
        discussion: """
            Writes PATH.key, a secret key for one process, and PATH.pub, its public half. With --run PATH is a folder, which \
            gets all that a run needs: keys for a learner, rollout workers and scorers (and, with --relays, relays), and the lists of clients. The secret \
            keys are not printed.
            """)

    @Argument(help: "Where to write, such as keys/sampler2; with --run a folder.")
    var path: String

    @Flag(name: .customLong("run"), help: "Make all keys of a run.")
    var isForRun = false

    @Flag(help: "With --run: a key for relays too.")
    var relays = false

    func validate() throws {
        if relays, !isForRun { throw ValidationError("--relays goes with --run") }
    }

    func run() throws {
        if isForRun { try makeRun() } else { try makePair() }
    }

    private func makePair() throws {
        let written = try KeyFile.generate(path)
        try print([
            "\(written.secret): secret, mode 0600; only on the machine of the process that uses it",
            "\(written.publicFile): public", "",
            "the learner's: security.learner_key: \(written.secret) at the learner,",
            "               security.learner_public_key: \(written.publicFile) at everybody else",
            "a worker's:    security.rollout_key: \(written.secret) at the worker, and at the learner,",
            "               in the file that security.rollout_clients names, the line",
            "               \(written.publicKey) \(written.name)",
            "a scorer's:    the same with security.scorer_key and security.scorer_clients",
            "a relay's:     the same with security.relay_key and security.relay_clients, and",
            "               security.relay_public_key: \(written.publicFile) at those who are given --relay",
        ])
    }

    private func makeRun() throws {
        let folder = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        let learner = try KeyFile.generate("\(folder)/learner")
        let rollout = try KeyFile.generate("\(folder)/rollout")
        let scorer = try KeyFile.generate("\(folder)/scorer")
        try KeyFile.writeClients([(rollout.publicKey, rollout.name)], to: "\(folder)/rollout.clients")
        try KeyFile.writeClients([(scorer.publicKey, scorer.name)], to: "\(folder)/scorer.clients")
        var lines = [
            "security:",
            "  learner_key: \(learner.secret)  # secret: at the learner only",
            "  rollout_clients: \(folder)/rollout.clients  # at the learner",
            "  scorer_clients: \(folder)/scorer.clients  # at the learner",
            "  learner_public_key: \(learner.publicFile)  # at workers and scorers",
            "  rollout_key: \(rollout.secret)  # secret: at workers only",
            "  scorer_key: \(scorer.secret)  # secret: at scorers only",
        ]
        if relays {
            let relay = try KeyFile.generate("\(folder)/relay")
            try KeyFile.writeClients([(relay.publicKey, relay.name)], to: "\(folder)/relay.clients")
            lines += [
                "  relay_clients: \(folder)/relay.clients  # at the learner, and at relays that others connect to",
                "  relay_key: \(relay.secret)  # secret: at relays only, which need the two lists of clients above",
                "  relay_public_key: \(relay.publicFile)  # at who is given --relay",
            ]
        }
        try print(lines)
    }

    private func print(_ lines: [String]) throws {
        for line in lines { try StandardOutput.shared.writeLine(line) }
    }
}

extension KeyFile.Written {
    /// The file's name without folder and ending.
    fileprivate var name: String { String((secret.split(separator: "/").last ?? "").dropLast(".key".count)) }
}

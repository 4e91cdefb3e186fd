import Configuration
import Randomness
import Wording

/// A process that is to run on a machine.
package struct PlacedProcess: Sendable, Equatable {
    package enum Role: Sendable, Equatable {
        case learner
        /// The teacher that it holds, where teachers sample.
        case rollout(teacher: String?)
        case scorer(teacher: String)

        package var isLearner: Bool { self == .learner }

        /// As `opd` calls it.
        package var command: String {
            switch self {
            case .learner: "learner"
            case .rollout: "rollout"
            case .scorer: "scorer"
            }
        }
    }

    /// What it is called in the run, on its machine and in messages; no two of a run are alike.
    package var name: String
    package var role: Role
    /// The machine.
    package var host: String
    /// What `opd` is called with, without the configuration's path, which follows the first of them.
    package var arguments: [String]
    /// Of what it is given, what else makes it another process.
    package var settings = ""

    package init(name: String, role: Role, host: String, arguments: [String]) {
        self.name = name
        self.role = role
        self.host = host
        self.arguments = arguments
    }

    /// Tells one command from another: a process that runs with another one is not the one that is wanted.
    package var fingerprint: String {
        var hash = FNVHash()
        for argument in arguments + [settings] {
            hash.add(argument)
            hash.add(UInt8(0))
        }
        return hash.value.padded(to: 16, radix: 16)
    }
}

extension PlacedProcess {
    package static let learnerName = "learner"

    /// All processes of a run, the learner first.
    /// - Throws: ``ConfigurationError`` where the file of hosts and the run do not fit together; `source` is the file.
    package static func all(
        _ file: HostsFile, _ configuration: RunConfiguration, source: String
    ) throws(ConfigurationError) -> [PlacedProcess] {
        var problems: [ConfigurationError.Problem] = []
        func problem(_ key: String, _ message: String) {
            problems.append(.init(source: source, key: key, message: message))
        }
        let sampler = configuration.kind.sampler
        if sampler == .nobody {
            problem(
                "", "a run of kind '\(configuration.objective.kind.rawValue)' has no workers and scorers: use 'opd run'"
            )
        }
        let teachers = configuration.usedTeachers.keys.sorted()
        var learner = ["learner", "--bind", file.learner.listening]
        learner += threads(file.hosts[file.learner.host])
        var all = [
            PlacedProcess(name: learnerName, role: .learner, host: file.learner.host, arguments: learner)
        ]
        for (label, host) in file.hosts.sorted(by: { $0.key < $1.key }) {
            func add(_ role: Role, _ prefix: String, _ count: Int, _ options: [String] = []) {
                for index in 0..<count {
                    let name = "\(prefix)-\(index)"
                    all.append(
                        PlacedProcess(
                            name: name, role: role, host: label,
                            arguments: [role.command, "--connect", file.learner.endpoint, "--name", name] + options
                                + threads(host)))
                }
            }
            for (key, counts) in [("workers", host.workers), ("scorers", host.scorers)] {
                guard case .by(let named) = counts else { continue }
                let holds = key == "scorers" ? sampler != .teachers : sampler == .teachers
                if !holds {
                    problem("hosts.\(label).\(key)", "expected a number: these processes hold no teacher")
                }
                for name in named.keys.sorted() where holds && !teachers.contains(name) {
                    let known = teachers.isEmpty ? "none" : teachers.joined(separator: ", ")
                    problem("hosts.\(label).\(key).\(name)", "is no teacher of this run; it has: \(known)")
                }
            }
            if sampler == .teachers {
                if host.scorers != .each(0) {
                    problem("hosts.\(label).scorers", "where teachers sample there are no scorers; leave it out")
                }
                for teacher in teachers {
                    add(
                        .rollout(teacher: teacher), "rollout-\(label)-\(teacher)", host.workers.of(teacher),
                        ["--teacher", teacher])
                }
            } else {
                add(.rollout(teacher: nil), "rollout-\(label)", host.workers.of(""))
                for teacher in teachers {
                    add(
                        .scorer(teacher: teacher), "scorer-\(label)-\(teacher)", host.scorers.of(teacher),
                        ["--teacher", teacher])
                }
            }
        }
        guard problems.isEmpty else { throw ConfigurationError(problems: problems) }
        return all
    }

    private static func threads(_ host: HostsFile.Host?) -> [String] {
        guard let threads = host?.threads, threads > 0 else { return [] }
        return ["--set", "pipeline.threads=\(threads)"]
    }
}

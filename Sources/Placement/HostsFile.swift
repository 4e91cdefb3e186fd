/// What a file of hosts says: the machines of a run, and what each does for it.
package struct HostsFile: Sendable, Equatable {
    /// This machine's name among the hosts: it is reached without ssh, and its files are used where they are.
    package static let here = "here"

    /// Where the learner runs.
    package var learner = Learner()
    /// The machines, by their names.
    package var hosts: [String: Host] = [:]

    package init() {}

    /// The learner's place.
    package struct Learner: Sendable, Equatable {
        package var host = HostsFile.here
        /// How the other machines reach it; nil: no other machine has to.
        package var address: String?
        /// What it listens at when that is not ``address``, as behind a translation of addresses.
        package var bind: String?
        package var port = 7177
        package init() {}

        /// Where members connect to.
        package var endpoint: String { Self.endpoint(address ?? "127.0.0.1", port) }
        /// Where the learner listens.
        package var listening: String { Self.endpoint(bind ?? address ?? "127.0.0.1", port) }

        private static func endpoint(_ address: String, _ port: Int) -> String {
            "tcp://" + (address.contains(":") ? "[\(address)]" : address) + ":\(port)"
        }
    }

    /// A machine.
    package struct Host: Sendable, Equatable {
        /// What ssh is given; nil: the machine's name.
        package var ssh: String?
        /// The project's folder there, below the home folder unless it begins with `/`.
        package var folder = "opd"
        package var workers = Count.each(0)
        package var scorers = Count.each(0)
        /// Compute threads a process; 0: what the configuration says.
        package var threads = 0
        package init() {}

        /// What ssh is given for the machine of this name.
        package func address(_ name: String) -> String { ssh ?? name }
    }

    /// How many processes of a kind.
    package enum Count: Sendable, Equatable {
        /// So many; of those that hold a teacher so many for each.
        case each(Int)
        /// So many for each teacher named.
        case by([String: Int])

        package func of(_ teacher: String) -> Int {
            switch self {
            case .each(let count): count
            case .by(let counts): counts[teacher] ?? 0
            }
        }
    }
}

import Files
import Glibc

/// A process that a supervisor keeps.
package struct ProcessSpec: Sendable, Equatable {
    /// `learner`: the run begins and ends with it. `member`: is started once the learner listens, and again when it
    /// dies.
    package enum Role: Sendable { case learner, member }

    /// Stands for where the learner listens in a member's arguments.
    package static let endpointPlaceholder = "{endpoint}"

    /// What it is called in messages, such as `rollout-0`; no two of a plan are alike.
    package var name: String
    package var role: Role
    /// Path of the program.
    package var executable: String
    /// What the program is called with, without its name.
    package var arguments: [String]
    /// Variables that are added to the supervisor's own environment.
    package var environment: [String: String]
    /// File that standard output and error are appended to; nil: they are the supervisor's own.
    package var logPath: String?
    /// File that standard error is appended to instead; nil: it goes where standard output goes.
    package var errorPath: String?
    /// A descriptor of this process that is its standard input; nil: it has none.
    package var input: Int32?
    /// Descriptors of this process that are its standard output and error; nil: `logPath` or this process's own.
    package var output: Int32?
    package var errors: Int32?
    /// Whether it is killed when this process dies of anything, SIGKILL too, or the thread that started it ends.
    package var endsWithParent = false
    /// The most bytes of address space that each of its processes may have; nil: no limit.
    package var addressSpace: UInt64?

    package init(
        name: String, role: Role, executable: String, arguments: [String], environment: [String: String] = [:],
        logPath: String? = nil
    ) {
        self.name = name
        self.role = role
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.logPath = logPath
    }
}

extension ProcessSpec {
    /// The path of a program that is named as a shell would name it; the name itself where it is not found.
    package static func path(of program: String) -> String {
        guard !program.contains("/") else { return program }
        let folders = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        let candidates = folders.split(separator: ":").map { String($0).appendingPath(program) }
        return candidates.first { access($0, X_OK) == 0 } ?? program
    }
}

/// How a supervisor learns where the learner listens.
package enum EndpointSource: Sendable, Equatable {
    case fixed(String)
    /// The learner writes a line into this file.
    case file(String)

    /// Where a process of the same machine connects to for an endpoint that listens at every address.
    package static func local(_ endpoint: String) -> String {
        for (every, one) in [
            ("tcp://*:", "tcp://127.0.0.1:"), ("tcp://0.0.0.0:", "tcp://127.0.0.1:"), ("tcp://[::]:", "tcp://[::1]:"),
        ]
        where endpoint.hasPrefix(every) {
            return one + endpoint.dropFirst(every.count)
        }
        return endpoint
    }
}

import Glibc

/// How a child process ended.
package enum ChildStatus: Sendable, Equatable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)
    /// It could not be started; why.
    case notStarted(String)

    /// The exit status of a member whose engine is not there, such as a server that does not answer (`EX_UNAVAILABLE` of
    /// sysexits.h): it may be at another time.
    package static let unavailable: Int32 = 69

    /// Continues a sentence that begins with the process's name.
    package var description: String {
        switch self {
        case .exited(let code): "ended with exit status \(code)"
        case .signalled(let signal): "was killed by signal \(signal)\(Self.names[signal].map { " (\($0))" } ?? "")"
        case .notStarted(let reason): "could not be started: \(reason)"
        }
    }

    private static let names: [Int32: String] = [
        SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
        SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGSEGV: "SIGSEGV", SIGPIPE: "SIGPIPE",
        SIGTERM: "SIGTERM", SIGUSR1: "SIGUSR1", SIGXCPU: "SIGXCPU",
        SIGKILL: "SIGKILL; the system does that when memory runs out",
    ]
}

/// What the run of a supervisor ends with.
package struct ExitStatus: Sendable, Equatable {
    /// The exit status: 0 done, 1 failed, 2 refused its configuration, 75 stopped by its time limit,
    /// 128 plus its number stopped by a signal.
    package var code: Int32
    /// What went wrong, for a person; nil when nothing did or the learner has said it on standard error already.
    package var error: String?
    /// What to do next; nil when there is nothing.
    package var hint: String?

    package init(code: Int32, error: String? = nil, hint: String? = nil) {
        self.code = code
        self.error = error
        self.hint = hint
    }
}

import CPlatform
import Files
import Glibc

/// What a process that a supervisor started needs to know about that.
package enum ChildProcess {
    /// The environment variable that a supervisor sets for its children, to its process id.
    package static let variable = "OPD_CHILD"

    /// Whether a supervisor started this process.
    package static var isManaged: Bool { getenv(variable) != nil }

    /// Makes such a process end (SIGTERM) when its supervisor does, whatever that dies of. Does nothing in
    /// other processes. To be called first thing.
    package static func followParent() {
        guard let value = getenv(variable) else { return }
        _ = cplatform_signal_on_parent_death(SIGTERM)
        // The supervisor may have died before the line above; whoever adopted this process is another one then.
        if let supervisor = pid_t(String(cString: value)), supervisor > 1, getppid() != supervisor {
            kill(getpid(), SIGTERM)
        }
    }

    /// What to execute and what it is called. `/proc/self/exe` goes by its real path, so that it is found by its name
    /// among processes, unless another file has been put there since: all processes of a run are one program.
    package static func program(_ path: String) -> (path: String, name: String) {
        let link = "/proc/self/exe"
        guard path == link, let target = FileTree.target(ofLink: link) else { return (path, path) }
        return (FileTree.isSame(link, target) ? target : link, target)
    }
}

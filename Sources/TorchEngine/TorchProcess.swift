import Engines
import Files
import Foundation
import Locking
import Supervision

/// The processes of one torch engine: one python, or torchrun and the ranks that it starts.
final class TorchProcess: Sendable {
    private struct State {
        var child: RunningChild?
        var status: ChildStatus?
        var isUnwanted = false
    }

    private let state: Locked<State>
    private let logPath: String
    /// Where in the log its words begin.
    private let logStart: UInt64

    /// Starts it. It ends with this process, whatever that dies of.
    /// - Parameters:
    ///   - endpoint: where this process listens.
    ///   - threads: compute threads of all ranks together, where these compute on CPUs.
    init(_ reference: TorchReference, endpoint: String, threads: Int) {
        logPath = reference.logPath
        logStart = (try? FileTree.size(reference.logPath)) ?? 0
        let share = max(1, threads / reference.processes)
        let launcher =
            reference.processes == 1
            ? []
            : [
                "-m", "torch.distributed.run", "--standalone", "--max-restarts=0",
                "--nproc-per-node=\(reference.processes)",
            ]
        let arguments =
            launcher + [
                "-m", "opd_torch", "--endpoint", endpoint, "--device", reference.device, "--threads", "\(share)",
                "--learner", "\(ProcessInfo.processInfo.processIdentifier)",
            ]
        var environment = ["OMP_NUM_THREADS": "\(share)", "PYTHONUNBUFFERED": "1"]
        if let package = Self.packageFolder {
            let others = ProcessInfo.processInfo.environment["PYTHONPATH"].map { ":" + $0 } ?? ""
            environment["PYTHONPATH"] = package + others
        }
        // Looked up here: only a path can be started.
        let spec = ProcessSpec(
            name: "torch", role: .member, executable: ProcessSpec.path(of: reference.python), arguments: arguments,
            environment: environment, logPath: reference.logPath)
        let state = Locked(State())
        self.state = state
        RunningChild.start(spec, arguments: arguments) { child in
            state.withLock { state in
                state.child = child
                if state.isUnwanted { child.send(SIGKILL) }
            }
        } ended: { status in
            state.withLock { $0.status = status }
        }
    }

    deinit { kill() }

    /// How it ended; nil while it runs.
    var status: ChildStatus? { state.withLock { $0.status } }

    /// Ends it at once, with all that it started.
    func kill() {
        state.withLock { state in
            state.isUnwanted = true
            state.child?.send(SIGKILL)
        }
    }

    /// Why it ended, as far as it wrote that, and what to change; nil where nothing tells.
    var lastWords: String? {
        let size = (try? FileTree.size(logPath)) ?? 0
        // The first line of a tail is left out: let that be the end of the one before its own.
        let bytes = size - logStart + min(logStart, 1)
        let lines =
            size > logStart ? LogTail.lines(of: logPath, count: 400, bytes: Int(min(bytes, 1 << 16))) : []
        guard case .signalled(let signal) = status else { return TorchWords.reason(in: lines) }
        // Who is killed has no time for words: the last line is about something else.
        return TorchWords.said(in: lines) ?? (signal == SIGKILL ? TorchWords.advice : nil)
    }

    /// Whether it, or one that it started, was killed: nothing that is wrong with what it was asked for.
    var wasKilled: Bool {
        if case .signalled = status { return true }
        return lastWords?.contains(" was killed by signal ") ?? false
    }

    /// The package in the repository that this program was built in; nil: python has to have it.
    static let packageFolder: String? = {
        var folder = FileTree.target(ofLink: "/proc/self/exe") ?? "/"
        while folder != "/", !folder.isEmpty {
            folder = FileTree.parent(of: folder)
            let candidate = folder.appendingPath("Sources/TorchEngine/Python")
            if FileTree.kind(candidate.appendingPath("opd_torch")) != .missing { return candidate }
        }
        return nil
    }()
}

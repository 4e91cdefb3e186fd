import CPlatform
import Files
import Glibc
import Locking

/// A child process with a process group of its own, and the thread that started it and waits for it.
///
/// The thread lives as long as the child: Linux delivers the parent-death signal that ``ChildProcess/followParent()``
/// asks for when the *thread* that started the child ends, so a thread of a pool must not start one.
package final class RunningChild: Sendable {
    package let pid: pid_t
    private let isReaped = Locked(false)

    private init(pid: pid_t) { self.pid = pid }

    /// Starts a process. `ended` is called once, on a thread of its own, when it has ended, nothing of its group is
    /// left and it was waited for; at once when it could not be started.
    package static func start(
        _ spec: ProcessSpec, arguments: [String], started: @escaping @Sendable (RunningChild) -> Void,
        ended: @escaping @Sendable (ChildStatus) -> Void
    ) {
        let body: @Sendable () -> Void = {
            switch Self.spawn(spec, arguments) {
            case .failure(let error): ended(.notStarted("\(error)"))
            case .success(let pid):
                let child = RunningChild(pid: pid)
                started(child)
                ended(child.wait())
            }
        }
        let code = startThread(body)
        if code != 0 { ended(.notStarted("no thread for it: \(String(cString: strerror(code)))")) }
    }

    /// Sends a signal to the process and whatever it started, unless it is gone.
    package func send(_ signal: Int32) {
        // Until it is waited for, its number cannot be another process's.
        isReaped.withLock { if !$0 { kill(-pid, signal) } }
    }

    private func wait() -> ChildStatus {
        var info = siginfo_t()
        // Left unreaped, so that its group still has its number below.
        while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        return isReaped.withLock { isReaped in
            kill(-pid, SIGKILL)
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            isReaped = true
            let signal = status & 0x7f
            return signal == 0 ? .exited(status >> 8 & 0xff) : .signalled(signal)
        }
    }

    private struct SpawnError: Error, CustomStringConvertible { let description: String }

    private static func spawn(_ spec: ProcessSpec, _ arguments: [String]) -> Result<pid_t, SpawnError> {
        var logs: [Int32] = []
        defer { for log in logs where log >= 0 { close(log) } }
        for path in [spec.logPath, spec.errorPath ?? spec.logPath] {
            let log = path.map { open($0, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0o644) } ?? -1
            if let path, log < 0 {
                return .failure(SpawnError(description: "\(FileError(path, code: errno))"))
            }
            logs.append(log)
        }
        var pid: pid_t = 0
        let program = ChildProcess.program(spec.executable)
        let code = withCStrings([program.name] + arguments) { arguments in
            withCStrings(environment(adding: spec.environment)) { environment in
                program.path.withCString { path in
                    var start = cplatform_start()
                    start.path = path
                    start.arguments = arguments
                    start.environment = environment
                    start.input = spec.input ?? -1
                    start.output = spec.output ?? logs[0]
                    start.errors = spec.errors ?? logs[1]
                    start.parent_death_signal = spec.endsWithParent ? SIGKILL : 0
                    start.address_space = spec.addressSpace ?? 0
                    return cplatform_start_process(&start, &pid)
                }
            }
        }
        guard code == 0 else {
            return .failure(SpawnError(description: "\(FileError(spec.executable, code: code))"))
        }
        return .success(pid)
    }

    /// This process's environment with `added` and the mark of a managed process, as `NAME=value`.
    private static func environment(adding added: [String: String]) -> [String] {
        var added = added
        added[ChildProcess.variable] = String(getpid())
        var result: [String] = []
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            if added[String(text.prefix { $0 != "=" })] == nil { result.append(text) }
            next += 1
        }
        return result + added.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        return body(&pointers)
    }

    private final class ThreadBody: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Runs `body` on a thread of its own. Returns 0, or errno.
    private static func startThread(_ body: @escaping @Sendable () -> Void) -> Int32 {
        let box = Unmanaged.passRetained(ThreadBody(body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                // Signals are for the other threads.
                var all = sigset_t()
                sigfillset(&all)
                pthread_sigmask(SIG_BLOCK, &all, nil)
                Unmanaged<ThreadBody>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, box.toOpaque())
        if code == 0 { pthread_detach(thread) } else { box.release() }
        return code
    }
}

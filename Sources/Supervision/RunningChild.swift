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
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input = spec.input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        for case (let descriptor, let log?) in [(Int32(1), spec.logPath), (2, spec.errorPath)] {
            // Opened here too: posix_spawn would not say which of its files it could not open.
            do {
                _ = try OpenFile(
                    log, .writeOnly, [.create, .append, .noFollow],
                    permissions: [.ownerReadWrite, .groupRead, .otherRead])
            } catch {
                return .failure(SpawnError(description: "\(error)"))
            }
            posix_spawn_file_actions_addopen(
                &actions, descriptor, log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0o644)
        }
        if spec.logPath != nil, spec.errorPath == nil { posix_spawn_file_actions_adddup2(&actions, 1, 2) }
        // Without it only descriptors opened without close-on-exec reach the child: untidy, not wrong.
        _ = cplatform_spawn_close_from(&actions, 3)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Signals that this process ignores or blocks must not be so in the child.
        var all = sigset_t()
        sigfillset(&all)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))

        var pid: pid_t = 0
        let program = ChildProcess.program(spec.executable)
        let code = withCStrings([program.name] + arguments) { arguments in
            withCStrings(environment(adding: spec.environment)) { environment in
                posix_spawn(&pid, program.path, &actions, &attributes, arguments, environment)
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
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers)
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

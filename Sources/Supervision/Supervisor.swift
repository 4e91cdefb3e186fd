import CPlatform
import Files
import Glibc
import Locking
import Logging
import UnixSignals

/// Runs a learner and its members as processes of this machine: starts them, starts dead members again, passes on
/// signals, and leaves nothing behind when it is done.
package struct Supervisor: Sendable {
    private let plan: [ProcessSpec]
    private let endpoint: EndpointSource
    private let resumeCommand: String
    private let options: SupervisorOptions
    private let logger: Logger

    /// - Parameters:
    ///   - plan: one learner and any number of members, of different names.
    ///   - resumeCommand: what a person types to continue a run that did not end well.
    package init(
        plan: [ProcessSpec], endpoint: EndpointSource, resumeCommand: String, options: SupervisorOptions = .init(),
        logger: Logger
    ) {
        precondition(plan.count { $0.role == .learner } == 1, "a plan has one learner")
        precondition(Set(plan.map(\.name)).count == plan.count, "a plan's names differ")
        self.plan = plan
        self.endpoint = endpoint
        self.resumeCommand = resumeCommand
        self.options = options
        self.logger = logger
    }

    /// Runs until the learner is done or the run has failed or was stopped; no process is left then.
    ///
    /// SIGINT, SIGTERM, SIGHUP and SIGUSR1 of this process are taken: the first lets the learner write a checkpoint and
    /// end, a second kills all, unless one of the two is SIGUSR1.
    package func run() async -> ExitStatus {
        var trapped: [UnixSignal] = [.sigint, .sigterm, .sigusr1]
        // Under nohup a hang-up stays ignored.
        if cplatform_signal_is_ignored(SIGHUP) == 0 { trapped.append(.sighup) }
        let signals = await UnixSignalsSequence(trapping: trapped)
        return await run(signals: signals) { $0.rawValue }
    }

    /// Runs the plan with signals from elsewhere.
    package func run<Signals: AsyncSequence & Sendable>(
        signals: Signals, number: @escaping @Sendable (Signals.Element) -> Int32
    ) async -> ExitStatus where Signals.Element: Sendable {
        let (events, inbox) = AsyncStream.makeStream(of: Occurrence.self)
        let clock = ContinuousClock()
        let origin = clock.now
        var state = SupervisorState(
            learner: plan.first { $0.role == .learner }!.name,
            members: plan.filter { $0.role == .member }.map(\.name), options: options)
        var children: [String: RunningChild] = [:]
        var address = ""
        var timer: (deadline: Duration, task: Task<Void, Never>)?
        let signalTask = Task {
            var iterator = signals.makeAsyncIterator()
            while let signal = try? await iterator.next() { inbox.yield(.event(.signal(number(signal)))) }
        }
        if case .file(let path) = endpoint { unlink(path) }
        let endpointTask = Task {
            if let address = await resolve() { inbox.yield(.endpoint(address)) }
        }
        defer {
            signalTask.cancel()
            endpointTask.cancel()
            timer?.task.cancel()
        }
        inbox.yield(.event(.start))

        for await occurrence in events {
            let event: SupervisorState.Event
            switch occurrence {
            case .endpoint(let found):
                address = EndpointSource.local(found)
                event = .endpointKnown
            case .event(let given):
                if case .ended(let name, let status) = given {
                    children[name] = nil
                    logger.debug("\(name) \(status)")
                }
                if given == .timer { timer = nil }
                event = given
            }
            for action in state.handle(event, at: clock.now - origin) {
                switch action {
                case .spawn(let name):
                    let spec = plan.first { $0.name == name }!
                    let arguments = spec.arguments.map {
                        $0 == ProcessSpec.endpointPlaceholder ? address : $0
                    }
                    logger.debug("starting \(name): \(spec.executable) \(arguments.joined(separator: " "))")
                    children[name] = await Self.start(spec, arguments, inbox)
                case .kill(let name, let signal): children[name]?.send(signal)
                case .inform(let text): logger.notice("\(text)")
                case .warn(let text): logger.warning("\(text)\(reason(event))")
                case .finish(let outcome): return exitStatus(outcome)
                }
            }
            if timer?.deadline != state.nextDeadline {
                timer?.task.cancel()
                timer = state.nextDeadline.map { deadline in
                    let task = Task {
                        try? await clock.sleep(until: origin + deadline)
                        if !Task.isCancelled { inbox.yield(.event(.timer)) }
                    }
                    return (deadline, task)
                }
            }
        }
        return ExitStatus(code: 1)
    }

    private enum Occurrence: Sendable {
        case endpoint(String)
        case event(SupervisorState.Event)
    }

    /// Starts a process and returns when it can be sent signals; nil when it could not be started.
    private static func start(
        _ spec: ProcessSpec, _ arguments: [String], _ inbox: AsyncStream<Occurrence>.Continuation
    ) async -> RunningChild? {
        await withCheckedContinuation { continuation in
            let waiting = Locked<CheckedContinuation<RunningChild?, Never>?>(continuation)
            let resume: @Sendable (RunningChild?) -> Void = { child in
                let continuation = waiting.withLock { waiting in
                    defer { waiting = nil }
                    return waiting
                }
                continuation?.resume(returning: child)
            }
            RunningChild.start(
                spec, arguments: arguments, started: resume,
                ended: { status in
                    resume(nil)
                    inbox.yield(.event(.ended(spec.name, status)))
                })
        }
    }

    /// What a process said of the failure that it ended with: who waits for it does not read its log.
    private func reason(_ event: SupervisorState.Event) -> String {
        let prefix = "error: "
        guard case .ended(let name, .exited(let code)) = event, [1, ChildStatus.unavailable].contains(code),
            let path = plan.first(where: { $0.name == name })?.logPath,
            let line = LogTail.lines(of: path, count: 1).first, line.hasPrefix(prefix)
        else { return "" }
        return "; it said: \(line.dropFirst(prefix.count))"
    }

    private func resolve() async -> String? {
        switch endpoint {
        case .fixed(let address): return address
        case .file(let path):
            while !Task.isCancelled {
                if let text = try? FileTree.read(path), text.hasSuffix("\n"), text != "\n" {
                    return String(text.dropLast())
                }
                try? await Task.sleep(for: .milliseconds(50))
            }
            return nil
        }
    }

    private func exitStatus(_ outcome: SupervisorState.Outcome) -> ExitStatus {
        var error = outcome.error
        if let path = plan.first(where: { $0.name == outcome.culprit })?.logPath {
            let lines = LogTail.lines(of: path)
            error? += lines.isEmpty ? "; \(path) is empty" : "; the end of \(path):"
            // One that was started again has said the same each time.
            for (place, line) in lines.enumerated() where place == 0 || line != lines[place - 1] {
                error? += "\n  \(line)"
            }
        }
        return ExitStatus(
            code: outcome.code, error: error,
            hint: outcome.isResumable ? "continue the run with: \(resumeCommand)" : nil)
    }
}

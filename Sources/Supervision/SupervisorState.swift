import Glibc
import Wording

/// What a supervisor does when: a state machine without processes, clocks or signals.
///
/// Times are durations since an origin of the driver's choice. One process is the learner: with it the run begins and
/// ends. The others, the members, come and go.
package struct SupervisorState: Sendable {
    /// What has happened.
    package enum Event: Sendable, Equatable {
        case start
        /// The learner listens.
        case endpointKnown
        case ended(String, ChildStatus)
        /// SIGINT, SIGTERM, SIGHUP or SIGUSR1 came to the supervisor.
        case signal(Int32)
        /// ``SupervisorState/nextDeadline`` has come.
        case timer
    }

    /// What a supervisor is to do.
    package enum Action: Sendable, Equatable {
        case spawn(String)
        case kill(String, Int32)
        case inform(String)
        case warn(String)
        case finish(Outcome)
    }

    /// How a run ended.
    package struct Outcome: Sendable, Equatable {
        package var code: Int32
        package var error: String?
        /// The process whose log says more.
        package var culprit: String?
        /// Whether the run can be continued.
        package var isResumable = false

        package init(code: Int32, error: String? = nil, culprit: String? = nil, isResumable: Bool = false) {
            self.code = code
            self.error = error
            self.culprit = culprit
            self.isResumable = isResumable
        }
    }

    private enum Activity: Equatable {
        case idle, ended
        case running(since: Duration)
        case waiting(until: Duration)
    }

    private struct Process {
        let name: String
        let isLearner: Bool
        var activity = Activity.idle
        /// Deaths in a row.
        var deaths = 0
        /// Ends in a row because its engine was not there.
        var absences = 0
        /// Signals to come, soonest first.
        var orders: [(at: Duration, signal: Int32)] = []

        var isRunning: Bool { if case .running = activity { true } else { false } }
    }

    private enum Phase: Equatable {
        /// Waits for the learner to listen.
        case starting(deadline: Duration)
        case running
        /// The learner was told to write a checkpoint and end, because of this signal.
        case asked(Int32)
        /// The outcome is known; what still runs is ended.
        case ending
        case finished
    }

    private let options: SupervisorOptions
    private var processes: [Process]
    private var phase = Phase.starting(deadline: .seconds(Int64.max / 4))
    private var outcome = Outcome(code: 1)
    private var lastSignal: Duration?
    private var actions: [Action] = []

    package init(learner: String, members: [String], options: SupervisorOptions = .init()) {
        self.options = options
        processes =
            [Process(name: learner, isLearner: true)] + members.map { Process(name: $0, isLearner: false) }
    }

    /// When to send ``Event/timer``; nil: not before another event.
    package var nextDeadline: Duration? {
        var times = processes.compactMap { $0.orders.first?.at }
        for case .waiting(let until) in processes.map(\.activity) { times.append(until) }
        if case .starting(let deadline) = phase { times.append(deadline) }
        return times.min()
    }

    /// Takes in what happened at `now`; returns what to do about it, in order.
    package mutating func handle(_ event: Event, at now: Duration) -> [Action] {
        actions = []
        switch event {
        case .start:
            phase = .starting(deadline: now + options.endpointTimeout)
            spawn(0, now)
        case .endpointKnown:
            guard case .starting = phase else { break }
            phase = .running
            for index in processes.indices.dropFirst() { spawn(index, now) }
        case .ended(let name, let status):
            guard let index = processes.firstIndex(where: { $0.name == name }), processes[index].isRunning else {
                break
            }
            ended(index, status, now)
        case .signal(let signal): signalled(signal, now)
        case .timer: timer(now)
        }
        if phase == .ending, !processes.contains(where: \.isRunning) {
            phase = .finished
            actions.append(.finish(outcome))
        }
        return actions
    }

    private mutating func spawn(_ index: Int, _ now: Duration) {
        processes[index].activity = .running(since: now)
        actions.append(.spawn(processes[index].name))
    }

    private mutating func ended(_ index: Int, _ status: ChildStatus, _ now: Duration) {
        guard case .running(let since) = processes[index].activity else { return }
        processes[index].activity = .ended
        processes[index].orders = []
        switch phase {
        case .starting, .running:
            if index == 0 { learnerEnded(status, now) } else { memberEnded(index, status, now - since, now) }
        case .asked(let signal):
            guard index == 0 else { return }
            switch status {
            case .exited(0), .exited(128 + signal), .exited(128 + SIGTERM), .exited(128 + SIGUSR1),
                .exited(StopSignal.timeLimitExitCode), .signalled(SIGTERM), .signalled(SIGUSR1):
                end(Outcome(code: 128 + signal, isResumable: true), now)
            default:
                let error = "the learner \(status) when it was to write its checkpoint; the last one before it stands"
                end(Outcome(code: 1, error: error, isResumable: true), now)
            }
        case .ending, .finished: break
        }
    }

    private mutating func learnerEnded(_ status: ChildStatus, _ now: Duration) {
        switch status {
        case .exited(0):
            // The members have its goodbye and go by themselves.
            end(Outcome(code: 0), now, patience: options.grace)
        // In these three cases the learner has said why on the standard error that it shares.
        case .exited(2): end(Outcome(code: 2), now)
        case .exited(1): end(Outcome(code: 1, isResumable: true), now)
        case .exited(let code)
        where [SIGHUP, SIGINT, SIGTERM, SIGUSR1].contains(code - 128) || code == StopSignal.timeLimitExitCode:
            end(Outcome(code: code, isResumable: true), now)
        case .notStarted: end(Outcome(code: 1, error: "the learner \(status)"), now)
        default: end(Outcome(code: 1, error: "the learner \(status)", isResumable: true), now)
        }
    }

    private mutating func memberEnded(_ index: Int, _ status: ChildStatus, _ lived: Duration, _ now: Duration) {
        let name = processes[index].name
        switch status {
        case .exited(2):
            let error = "\(name) refused its configuration or models (exit status 2)"
            return end(Outcome(code: 2, error: error, culprit: name), now)
        case .exited(0):
            // It does that when the learner says that the run is over. Should the learner go on, it is wanted again.
            processes[index].activity = .waiting(until: now + options.longestBackoff)
            return
        case .exited(ChildStatus.unavailable):
            // What it computes with was there when the run began: that costs time, however long.
            processes[index].absences += 1
            return startAgain(index, status, in: options.backoff(death: processes[index].absences), now)
        default: break
        }
        processes[index].absences = 0
        if lived >= options.stableAfter { processes[index].deaths = 0 }
        processes[index].deaths += 1
        let deaths = processes[index].deaths
        guard deaths < options.deathsAllowed else {
            let error = "\(name) died \(deaths) times in a row; the last time it \(status)"
            return end(Outcome(code: 1, error: error, culprit: name, isResumable: true), now)
        }
        startAgain(index, status, in: options.backoff(death: deaths), now)
    }

    private mutating func startAgain(_ index: Int, _ status: ChildStatus, in wait: Duration, _ now: Duration) {
        processes[index].activity = .waiting(until: now + wait)
        actions.append(.warn("\(processes[index].name) \(status); starting it again in \(wait.shortSeconds) s"))
    }

    private mutating func signalled(_ signal: Int32, _ now: Duration) {
        if let lastSignal, now - lastSignal < options.repeatedSignal { return }
        let isFirst = lastSignal == nil
        lastSignal = now
        switch phase {
        case .starting, .running:
            phase = .asked(signal)
            for index in processes.indices where !processes[index].isRunning { processes[index].activity = .ended }
            actions.append(.inform("stopping: the learner writes a checkpoint; once more to stop at once"))
            // The learner is to know whether a person ends the run, or a machine this process.
            actions.append(.kill(processes[0].name, signal == SIGINT ? SIGINT : SIGTERM))
        // A scheduler's SIGUSR1 comes before its SIGTERM, and neither is a second order to hurry.
        case .asked where signal == SIGUSR1: break
        case .asked(SIGUSR1): phase = .asked(signal)
        case .asked(let first):
            outcome = Outcome(code: 128 + first, isResumable: true)
            killAll()
        case .ending where signal == SIGUSR1: break
        case .ending:
            // The learner of a run that failed elsewhere gets the time for its checkpoint after a first signal too.
            if isFirst, processes[0].isRunning {
                actions.append(.inform("the learner is writing a checkpoint; once more to stop at once"))
            } else {
                killAll()
            }
        case .finished: break
        }
    }

    private mutating func timer(_ now: Duration) {
        if case .starting(let deadline) = phase, deadline <= now {
            let seconds = options.endpointTimeout.shortSeconds
            end(Outcome(code: 1, error: "the learner did not begin to listen within \(seconds) s"), now)
        }
        for index in processes.indices {
            if case .waiting(let until) = processes[index].activity, until <= now { spawn(index, now) }
            while let order = processes[index].orders.first, order.at <= now {
                processes[index].orders.removeFirst()
                actions.append(.kill(processes[index].name, order.signal))
            }
        }
    }

    /// Settles the outcome and sees to it that every process ends: a SIGTERM after `patience`, then a SIGKILL.
    private mutating func end(_ outcome: Outcome, _ now: Duration, patience: Duration = .zero) {
        self.outcome = outcome
        phase = .ending
        for index in processes.indices {
            guard processes[index].isRunning else {
                processes[index].activity = .ended
                continue
            }
            let term = now + patience
            let grace = processes[index].isLearner ? options.learnerGrace : options.grace
            processes[index].orders = [(term + grace, SIGKILL)]
            if patience > .zero {
                processes[index].orders.insert((term, SIGTERM), at: 0)
            } else {
                actions.append(.kill(processes[index].name, SIGTERM))
            }
        }
    }

    private mutating func killAll() {
        phase = .ending
        for index in processes.indices {
            processes[index].orders = []
            if processes[index].isRunning {
                actions.append(.kill(processes[index].name, SIGKILL))
            } else {
                processes[index].activity = .ended
            }
        }
    }
}

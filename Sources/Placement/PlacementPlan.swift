/// What is to be done so that what runs is what is wanted: from the wanted processes and what each machine has said.
///
/// A pure value. What ends comes first, then the learner, and the other processes when it listens.
package struct PlacementPlan: Sendable, Equatable {
    /// What is known of a machine.
    package enum View: Sendable, Equatable {
        /// It could not be asked.
        case away
        case seen(HostReport)
    }

    /// Processes that are ended, by machine: nobody wants them, or not as they are.
    package var stops: [String: [String]] = [:]
    /// Of these, those that nobody wants any more.
    package var removed: Set<String> = []
    /// Whether the learner is started.
    package var startsLearner = false
    /// Processes other than the learner that are started, by machine.
    package var starts: [String: [PlacedProcess]] = [:]
    /// Processes that run as they should.
    package var kept: [String] = []
    /// What a person should know; one line each.
    package var notes: [String] = []
    /// Why nothing can be started; nil: nothing is in the way.
    package var obstacle: String?
    /// Whether the learner has brought the run to its end.
    package var isDone = false
    /// Whether the learner has ended otherwise, and is not to be started.
    package var isOver = false

    package init() {}

    /// Machines on which something is started.
    package func startingHosts(learner: String) -> Set<String> {
        Set(starts.keys).union(startsLearner ? [learner] : [])
    }

    package var isNothing: Bool { stops.isEmpty && starts.isEmpty && !startsLearner }

    /// - Parameters:
    ///   - wanted: all processes of the run, one of which is the learner.
    ///   - views: what is known of every machine that has something of the run, or is to have.
    ///   - earlierLearner: the machine that had the learner before; nil: none had.
    ///   - restarts: whether a run that has come to its end is gone on with.
    ///   - waiting: processes that are not started again yet.
    ///   - watches: whether a learner that has ended stays so: somebody may just have ended it.
    package init(
        wanted: [PlacedProcess], views: [String: View], earlierLearner: String? = nil, restarts: Bool = false,
        waiting: Set<String> = [], watches: Bool = false
    ) {
        guard let learner = wanted.first(where: \.role.isLearner) else { return }
        let names = Dictionary(grouping: wanted, by: \.host).mapValues { Set($0.map(\.name)) }
        for (host, view) in views {
            guard case .seen(let report) = view else { continue }
            for process in report.processes where process.isRunning {
                if process.name == learner.name, host != learner.host {
                    obstacle =
                        "the learner runs on \(host), not on \(learner.host): end it with 'opd down', bring its run's folder "
                        + "there, and give --resume"
                } else if names[host]?.contains(process.name) != true {
                    stops[host, default: []].append(process.name)
                    removed.insert(process.name)
                }
            }
        }
        if let earlierLearner, earlierLearner != learner.host, !restarts, obstacle == nil {
            obstacle =
                "the learner was on \(earlierLearner), which has the run's folder: bring that to \(learner.host) and give "
                + "--resume, or name \(earlierLearner) as learner.host"
        }
        guard case .seen(let report)? = views[learner.host] else {
            obstacle = obstacle ?? "the learner's host \(learner.host) cannot be asked, so nothing is started"
            sort()
            return
        }
        switch report[learner.name]?.state {
        case .running:
            kept.append(learner.name)
            if report[learner.name]?.fingerprint != learner.fingerprint {
                notes.append(
                    "the learner goes on as it was started; 'opd down' and then 'opd up' give it what has changed")
            }
        case .ended(0) where !restarts: isDone = true
        case _ where watches: isOver = true
        default: startsLearner = obstacle == nil
        }
        if isDone {
            stopAll(views, but: learner.name)
        } else if !isOver {
            startMissing(wanted, views, waiting, learner: report[learner.name])
        }
        sort()
    }

    private mutating func startMissing(
        _ wanted: [PlacedProcess], _ views: [String: View], _ waiting: Set<String>, learner: HostReport.Process?
    ) {
        guard obstacle == nil else { return }
        // Such a member was sent home: the learner may still wait for the last copy of a checkpoint.
        func isSentHome(_ member: HostReport.Process?) -> Bool {
            guard let member, let learner, learner.isRunning else { return false }
            return member.state == .ended(0) && member.seconds < learner.seconds
        }
        for process in wanted where !process.role.isLearner {
            guard case .seen(let report)? = views[process.host] else { continue }
            if let found = report[process.name], found.isRunning {
                guard found.fingerprint != process.fingerprint else {
                    kept.append(process.name)
                    continue
                }
                stops[process.host, default: []].append(process.name)
            } else if waiting.contains(process.name) || isSentHome(report[process.name]) {
                continue
            }
            starts[process.host, default: []].append(process)
        }
    }

    private mutating func stopAll(_ views: [String: View], but learner: String) {
        for (host, view) in views {
            guard case .seen(let report) = view else { continue }
            let running = report.processes.filter { $0.isRunning && $0.name != learner }.map(\.name)
            if !running.isEmpty { stops[host] = running }
        }
    }

    private mutating func sort() {
        for host in stops.keys { stops[host]?.sort() }
        kept.sort()
    }
}

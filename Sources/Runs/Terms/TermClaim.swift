import Files
import Locking
import Logging
import Pipeline
import RunFiles
import Telemetry
import Wording

/// How a learner comes to own a run's folder: as its first, after one that has ended, or in place of one that is gone.
struct TermClaim {
    private let terms: TermFolder
    private let after: Duration
    private let progress: RunProgress
    private let logger: Logger
    private let host = HostID.current()
    private let origin = ContinuousClock.now

    /// - Parameter after: the silence after which a term is taken over.
    init(_ run: RunFolder, after: Duration, progress: RunProgress, logger: Logger) {
        terms = TermFolder(run)
        self.after = after
        self.progress = progress
        self.logger = logger
    }

    /// Claims the folder for a learner that somebody has started.
    /// - Throws: `RunFolderError` when another learner has it and lives.
    func begin() async throws -> HeldTerm {
        let terms = terms, after = after, host = host
        var watch = TermWatch(after: after), first: TermSight?
        while true {
            guard let sight = try await look({ try terms.sight() }) else {
                if let term = try await look({ try terms.begin(host: host, after: after) }) { return term }
                continue
            }
            let isDead = await look { terms.isDead(sight, host: host) }
            switch watch.saw(sight, isDead: isDead, now: now) {
            case .take, .over:
                if let term = try await look({ try terms.take(sight, host: host, after: after) }) { return term }
            case .wait:
                let owner = sight.record?.owner ?? "term \(sight.number)"
                guard first == nil || first == sight else {
                    throw RunFolderError(
                        "\(terms.run.path) is in use by another learner (\(owner)); wait for it to end or stop it")
                }
                if first == nil {
                    let seconds = max(after, sight.record?.after ?? .zero).shortSeconds
                    logger.notice(
                        "\(terms.run.path) was another learner's (\(owner)): looking for up to \(seconds) s whether it lives"
                    )
                }
                first = sight
            }
            try await Task.sleep(for: TermTimes(after: after).renewal)
        }
    }

    /// How a standby's watch ends.
    enum Watched {
        case took(HeldTerm)
        /// The run does not go on by itself.
        case over(TermRecord)
    }

    /// Watches the learner that owns the folder, and takes the run over when that is gone.
    func watch() async throws -> Watched {
        let terms = terms, after = after, host = host, times = TermTimes(after: after)
        var watch = TermWatch(after: after), number: Int?, hasWarned = false, goneAt: Duration?
        while true {
            do {
                let sight = try await look({ try terms.sight() })
                if sight == nil {
                    progress.activity("standby, nobody has \(terms.run.path)")
                    goneAt = goneAt ?? now
                    guard now - (goneAt ?? now) < after else {
                        throw RunFolderError(
                            "\(terms.run.path): the learner that was watched has ended before its first step and left "
                                + "nothing; start it again, and then the standby")
                    }
                }
                if let sight {
                    goneAt = nil
                    let isDead = await look { terms.isDead(sight, host: host) }
                    let owner = sight.record?.owner ?? "term \(sight.number)"
                    let verdict = watch.saw(sight, isDead: isDead, now: now)
                    if number != sight.number {
                        number = sight.number
                        logger.notice(
                            "standby: watching \(owner); takes the run over after \(after.shortSeconds) s without a sign"
                        )
                    }
                    progress.activity(
                        "standby, watching \(owner), last sign \(watch.silence.shortSeconds) s ago")
                    switch verdict {
                    case .wait: break
                    case .over(let record): return .over(record)
                    case .take:
                        let why =
                            sight.record?.state == .handedOver
                            ? "has handed the run over (\(sight.record?.reason ?? ""))"
                            : isDead ? "is dead" : "has given no sign for \(watch.silence.shortSeconds) s"
                        if let term = try await look({ try terms.take(sight, host: host, after: after) }) {
                            logger.notice("standby: \(owner) \(why): took the run over as term \(term.number)")
                            return .took(term)
                        }
                    }
                }
                hasWarned = false
            } catch let error as FileError {
                if !hasWarned { logger.warning("standby: \(error); looking again") }
                hasWarned = true
            }
            try await Task.sleep(for: times.renewal)
        }
    }

    private var now: Duration { ContinuousClock.now - origin }

    /// Files of other machines can take their time.
    private func look<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await onThread("opd-term") { Swift.Result { try body() } }.get()
    }

    private func look<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
        await onThread("opd-term", body)
    }
}

/// Which checkpoint is copied next, and when: a value without a clock, which is told the time.
///
/// One copy is made at a time, of the newest checkpoint there is; those that came and went meanwhile are left out. After
/// a failure it waits, longer from one to the next.
package struct CopyQueue: Sendable, Equatable {
    /// What is to be done now.
    package enum Next: Sendable, Equatable {
        /// Nothing, until a checkpoint is written.
        case rest
        /// Nothing, until this moment.
        case wait(until: Duration)
        case copy(step: Int)
    }

    /// What a person should know.
    package enum Note: Sendable, Equatable {
        /// The checkpoint was not copied, since a newer one was there before its turn came.
        case skipped(step: Int, for: Int)
        /// The first failure after a success.
        case failing(step: Int, String)
        /// The first success after a failure.
        case recovered(step: Int, failures: Int)
    }

    /// Waits between a failure and the next attempt: the first, and the longest.
    package static let firstWait = Duration.seconds(5), longestWait = Duration.seconds(300)

    /// The newest checkpoint that is not there yet; nil: none.
    package private(set) var wanted: Int?
    /// The one being copied.
    package private(set) var current: Int?
    /// The newest whole copy, and since when it is there.
    package private(set) var newest: (step: Int, at: Duration)?
    /// Failures since the last success, and why the last one was.
    package private(set) var failures = 0
    package private(set) var reason: String?
    private var failedAt: Duration = .zero
    private var retryAt: Duration = .zero

    package init() {}

    package static func == (a: Self, b: Self) -> Bool {
        a.wanted == b.wanted && a.current == b.current && a.newest?.step == b.newest?.step
            && a.newest?.at == b.newest?.at && a.failures == b.failures && a.reason == b.reason
            && a.failedAt == b.failedAt && a.retryAt == b.retryAt
    }

    /// A whole copy was found at the place.
    package mutating func found(step: Int, at now: Duration) { newest = (step, now) }

    /// A checkpoint was written, perhaps one of a step that has had one.
    package mutating func saved(step: Int) -> [Note] {
        defer { wanted = step }
        guard let wanted, wanted != step else { return [] }
        return [.skipped(step: wanted, for: step)]
    }

    /// - Parameter isHurried: whether the run has ended, so that a wait is a short one.
    package func next(at now: Duration, isHurried: Bool = false) -> Next {
        guard let wanted, current == nil else { return .rest }
        let moment = isHurried ? min(retryAt, failedAt + Self.firstWait) : retryAt
        return failures > 0 && moment > now ? .wait(until: moment) : .copy(step: wanted)
    }

    /// Takes the wanted checkpoint up.
    package mutating func begin() {
        current = wanted
        wanted = nil
    }

    /// The checkpoint being copied is there, whole.
    package mutating func finish(at now: Duration) -> [Note] {
        guard let step = current else { return [] }
        let notes: [Note] = failures > 0 ? [.recovered(step: step, failures: failures)] : []
        current = nil
        newest = (step, now)
        failures = 0
        reason = nil
        return notes
    }

    /// The checkpoint being copied was removed here by its run, which has written a newer one.
    package mutating func drop() {
        current = nil
    }

    /// The checkpoint being copied could not be; it is tried again unless a newer one has come.
    package mutating func fail(_ reason: String, at now: Duration) -> [Note] {
        guard let step = current else { return [] }
        current = nil
        if wanted == nil { wanted = step }
        failures += 1
        self.reason = reason
        let wait = Self.firstWait * (1 << min(failures - 1, 6))
        failedAt = now
        retryAt = now + min(wait, Self.longestWait)
        return failures == 1 ? [.failing(step: step, reason)] : []
    }
}

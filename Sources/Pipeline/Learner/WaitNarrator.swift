import Exchange
import Wording

/// Decides what a learner says of its waiting: what is missing, or that something takes unusually long. A person must
/// not have to guess.
///
/// It has no clock: every call is told the time since the learner's start.
package struct WaitNarrator: Sendable {
    /// What to say now.
    package struct Line: Sendable, Equatable {
        /// A line of the log.
        package var log: String
        /// What the live line shows until it is replaced.
        package var activity: String

        package init(log: String, activity: String) {
            self.log = log
            self.activity = activity
        }
    }

    private struct Activity {
        var text: String
        var since: Duration
        var isTraining: Bool
    }

    /// Time between two lines of one cause.
    private static let repeatAfter: Duration = .seconds(30)

    private let patience: Duration
    private let longStep: Duration
    private var activity: Activity?
    private var longestStep: Duration = .zero
    private var lastProgress = BatchProgress()
    private var lastProgressAt: Duration = .zero
    /// What the last line was about; nil when something has come since.
    private var lastSubject: String?
    private var lastLineAt: Duration = .zero

    /// - Parameters:
    ///   - patience: the time without progress after which what is missing is said.
    ///   - longStep: the time after which the learner's own work is told of; a training step, when it takes so much
    ///     longer than the longest before.
    package init(patience: Duration, longStep: Duration) {
        self.patience = patience
        self.longStep = longStep
    }

    // MARK: The learner's own work

    /// The learner itself does something that can take long, until ``end(now:)``.
    package mutating func begin(_ text: String, isTraining: Bool = false, now: Duration) {
        activity = Activity(text: text, since: now, isTraining: isTraining)
    }

    /// The learner waits for others again, or for nothing.
    package mutating func end(now: Duration) {
        if let activity, activity.isTraining { longestStep = max(longestStep, now - activity.since) }
        activity = nil
    }

    /// What the learner itself does, and since when; nil when it waits for others, or for nothing.
    /// - Parameter isSaving: whether a checkpoint is written meanwhile.
    package func busy(isSaving: Bool) -> (text: String, since: Duration)? {
        guard let activity else { return nil }
        let saving = isSaving && activity.isTraining ? ", while a checkpoint is written," : ""
        return (activity.text + saving, activity.since)
    }

    // MARK: Waiting

    /// The batch or evaluation that is awaited is so far.
    /// - Returns: whether that is news.
    package mutating func hasProgressed(to progress: BatchProgress, now: Duration) -> Bool {
        guard progress != lastProgress else { return false }
        lastProgress = progress
        lastProgressAt = now
        lastSubject = nil
        return true
    }

    /// Seconds since something came, or since the learner had other things to do.
    package func waitingSeconds(now: Duration) -> Double { max(0, (now - lastProgressAt).seconds) }

    /// What to say now; nil: nothing.
    /// - Parameters:
    ///   - isSaving: whether a checkpoint is written meanwhile.
    ///   - missing: what the run waits for, asked only when somebody must be told.
    package mutating func line(now: Duration, isSaving: Bool, missing: () -> Exchange.Wait?) -> Line? {
        if let busy = busy(isSaving: isSaving) {
            lastProgressAt = now
            return lineOfLongWork(busy.text, since: busy.since, now: now)
        }
        guard now - lastProgressAt > patience, let wait = missing() else { return nil }
        // Others hold it now: that is news, but not more often than a person can read.
        let isNews = wait.key != lastSubject && now - lastLineAt > patience
        guard isNews || lastSubject == nil || now - lastLineAt > Self.repeatAfter else { return nil }
        lastSubject = wait.key
        lastLineAt = now
        let seconds = (now - lastProgressAt).components.seconds
        return Line(log: "\(wait.text); nothing has come for \(seconds) s", activity: wait.text)
    }

    /// Tells of what takes long, and longer than it ever did in this run.
    private mutating func lineOfLongWork(_ text: String, since: Duration, now: Duration) -> Line? {
        let usual = activity?.isTraining == true ? longestStep : .zero
        guard now - since > usual + longStep else { return nil }
        guard lastSubject != text || now - lastLineAt > Self.repeatAfter else { return nil }
        lastSubject = text
        lastLineAt = now
        let line = "\(text) for \((now - since).components.seconds) s"
        return Line(log: line, activity: line)
    }
}

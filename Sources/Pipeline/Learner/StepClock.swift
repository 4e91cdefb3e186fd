import Distillation
import Exchange
import Wording

/// Adds up where the time of a step goes.
struct StepClock {
    /// What a learner's time is spent on.
    enum Phase { case rollouts, scores, evaluation, training, other }

    private var startedAt: Duration
    private var last: Duration
    private var phases: [Phase: Duration] = [:]
    private var sampling: Duration = .zero
    private var scoring: Duration = .zero
    private var sampledBefore: UInt64
    private var gradedBefore: UInt64

    init(now: Duration, ledger: Ledger) {
        startedAt = now
        last = now
        sampledBefore = Self.sampled(ledger)
        gradedBefore = ledger.gradedTokens
    }

    private static func sampled(_ ledger: Ledger) -> UInt64 { ledger.counts.generated + ledger.evaluationTokens }

    /// The time since the last call was spent so.
    /// - Parameters:
    ///   - phase: what the learner did or waited for.
    ///   - sampling: whether rollouts were in workers' hands.
    ///   - scoring: whether trajectories were in scorers' hands.
    mutating func advance(to now: Duration, phase: Phase, sampling: Bool, scoring: Bool) {
        let passed = now - last
        last = now
        phases[phase, default: .zero] += passed
        if sampling { self.sampling += passed }
        if scoring { self.scoring += passed }
    }

    /// The step's timing; the next step starts now.
    mutating func lap(now: Duration, ledger: Ledger, batchTokens: Int) -> TimingMetrics {
        func rate(_ tokens: UInt64, _ time: Duration) -> Double {
            time > .zero ? Double(tokens) / time.seconds : 0
        }
        func seconds(_ phase: Phase) -> Double { phases[phase, default: .zero].seconds }
        let timing = TimingMetrics(
            samplingTokensPerSecond: rate(Self.sampled(ledger) - sampledBefore, sampling),
            scoringTokensPerSecond: rate(ledger.gradedTokens - gradedBefore, scoring),
            trainingTokensPerSecond: rate(UInt64(batchTokens), phases[.training, default: .zero]),
            waitRolloutsSeconds: seconds(.rollouts), waitScoresSeconds: seconds(.scores),
            waitEvaluationSeconds: seconds(.evaluation), trainSeconds: seconds(.training),
            stepSeconds: (now - startedAt).seconds)
        self = StepClock(now: now, ledger: ledger)
        return timing
    }
}

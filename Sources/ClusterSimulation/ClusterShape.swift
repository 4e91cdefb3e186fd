import Distillation
import Exchange
import Wire

/// Who takes part in a simulated run, how fast they are and what goes wrong.
package struct ClusterShape: Sendable {
    package var workers: Int
    package var scorers: Int
    package var seed: UInt64 = 1
    package var steps: UInt64 = 2
    /// Samples of a prompt, which a worker has under way at once.
    package var samples = 4
    /// Tokens of the longest response; half of it is the mean.
    package var tokens = 64
    package var promptTokens = 64
    /// Milliseconds in which a worker samples what it holds: each time anew within these bounds.
    package var samplingMilliseconds = 4000..<12000
    /// Milliseconds of a training step.
    package var trainingMilliseconds = 2000
    /// Milliseconds that a message is under way.
    package var latencyMilliseconds = 1..<50
    /// The chance that a member dies within a second; it comes again, under its name, some seconds later.
    package var deathsPerSecond = 0.0
    /// The share of workers that join while the run is under way.
    package var late = 0.0
    /// The share of results that are delivered twice.
    package var doubled = 0.0

    package init(workers: Int, scorers: Int) {
        self.workers = workers
        self.scorers = scorers
    }

    /// Prompts a step: one for every worker.
    package var prompts: Int { max(1, workers) }

    /// Trajectories a second that all workers sample together.
    var rate: Double {
        let mean = Double(samplingMilliseconds.lowerBound + samplingMilliseconds.upperBound) / 2000
        return Double(workers * samples) / mean
    }

    /// Milliseconds in which a scorer grades a trajectory, all of them together a quarter faster than what is sampled.
    var gradingMilliseconds: Double { 1000 * Double(scorers) / (1.25 * rate) }

    /// What a scorer holds: work for about two seconds, as long as a message holds it.
    var scorerWindow: Int { min(2048, max(16, Int(2000 / gradingMilliseconds))) }

    var plan: RunPlan {
        let prompt = (0..<promptTokens).map { Int32($0 + 1) }
        return RunPlan(
            prompts: (0..<64).map { Prompt(ids: prompt + [Int32($0)], teacher: "default") }, seed: seed, steps: steps,
            promptsPerStep: prompts, samplesPerPrompt: samples,
            sampling: SamplingSettings(maxTokens: tokens, temperature: 1, topP: 1, topK: 0, stopTokenIDs: [0]))
    }

    var options: ExchangeOptions {
        var options = ExchangeOptions(runID: "simulated")
        // Twice: who died may come again before its silence is noticed.
        options.memberLimit = 2 * (workers + scorers) + 16
        return options
    }
}

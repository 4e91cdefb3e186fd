/// How many processes of a run share the cores of one machine, and with how many threads each.
///
/// A pure value: what was measured goes in, and why it was chosen comes out in words. Stages either take turns, each with
/// all cores, or work beside each other, each with its own; the learner waits least where a step is over soonest.
package struct CoreSplit: Sendable, Equatable {
    /// A part of a step.
    package enum Stage: String, Sendable, CaseIterable {
        case sampling, grading, training
    }

    /// Processes that do a stage.
    package struct Crew: Sendable, Equatable {
        package var processes: Int
        /// Threads of each.
        package var threads: Int

        package init(_ processes: Int, threads: Int) {
            self.processes = processes
            self.threads = threads
        }

        /// How many cores it keeps busy.
        var cores: Int { processes * threads }
    }

    /// Seconds of a step that a stage took with a crew, and nothing else beside it.
    package struct Timing: Sendable, Equatable {
        package var crew: Crew
        package var seconds: Double

        package init(_ crew: Crew, seconds: Double) {
            self.crew = crew
            self.seconds = seconds
        }
    }

    /// Who does what; a stage that the run does not have is not there.
    package private(set) var crews: [Stage: Crew] = [:]
    /// Seconds of a step, as far as they can be told.
    package private(set) var seconds: Double
    /// The share of them in which the learner trains.
    package private(set) var busyShare: Double
    /// Whether each stage has cores of its own.
    package private(set) var isApart = false
    /// Whether the stages work beside each other at all.
    private let overlaps: Bool
    private let cores: Int
    private let timings: [Stage: [Timing]]

    /// - Parameters:
    ///   - cores: of the machine, at least 1.
    ///   - overlaps: whether the run lets its stages work beside each other (staleness above 0).
    ///   - timings: at least one of training, and of each other stage that the run has.
    package init(cores: Int, overlaps: Bool, timings: [Stage: [Timing]]) {
        self.cores = cores
        self.overlaps = overlaps
        self.timings = timings
        (seconds, busyShare) = (0, 0)
        // All in turn, each at its best.
        for (stage, known) in timings {
            guard let best = known.min(by: { $0.seconds < $1.seconds }) else { continue }
            crews[stage] = best.crew
            seconds += best.seconds
        }
        if overlaps { splitApart() }
        let training = Self.seconds(timings[.training] ?? [], cores: crews[.training]?.cores ?? cores)
        busyShare = seconds > 0 ? min(1, training / seconds) : 0
    }

    /// Takes cores apart for each stage where the slowest of them is then faster than all in turn.
    private mutating func splitApart() {
        let stages = Stage.allCases.filter { timings[$0]?.isEmpty == false }
        for shares in Self.shares(of: cores, among: stages.count) {
            let longest = zip(stages, shares).map { Self.seconds(timings[$0]!, cores: $1) }.max() ?? 0
            guard longest < seconds else { continue }
            seconds = longest
            isApart = true
            for (stage, share) in zip(stages, shares) { crews[stage] = Self.crew(timings[stage]!, cores: share) }
        }
    }

    /// All ways to give every one of `count` at least one of the cores.
    private static func shares(of cores: Int, among count: Int) -> [[Int]] {
        guard count > 0, cores >= count else { return [] }
        guard count > 1 else { return [[cores]] }
        return (1...cores - count + 1).flatMap { first in
            shares(of: cores - first, among: count - 1).map { [first] + $0 }
        }
    }

    /// Seconds of a stage with so many cores: by Amdahl's law (a part that no core shortens and one that all share)
    /// through the best timings of the most cores and of the fewest.
    private static func seconds(_ timings: [Timing], cores: Int) -> Double {
        let best = Dictionary(grouping: timings, by: \.crew.cores).mapValues { $0.map(\.seconds).min() ?? 0 }
        if let known = best[cores] { return known }
        guard let most = best.max(by: { $0.key < $1.key }), let fewest = best.min(by: { $0.key < $1.key }) else {
            return 0
        }
        guard most.key > fewest.key else { return most.value * Double(most.key) / Double(cores) }
        let inverse = 1 / Double(fewest.key) - 1 / Double(most.key)
        let shared = max(0, (fewest.value - most.value) / inverse)
        let fixed = max(0, most.value - shared / Double(most.key))
        return fixed + shared / Double(cores)
    }

    /// As many processes as were best with the nearest number of cores, as far as they have a thread each.
    private static func crew(_ timings: [Timing], cores: Int) -> Crew {
        let nearest = timings.map(\.crew.cores).min { abs($0 - cores) < abs($1 - cores) }
        let best = timings.filter { $0.crew.cores == nearest }.min { $0.seconds < $1.seconds }
        let processes = min(best?.crew.processes ?? 1, cores)
        return Crew(processes, threads: max(1, cores / processes))
    }

    // MARK: Words

    /// What was measured, chosen and why, a line each.
    package var lines: [String] {
        var lines: [String] = []
        for stage in Stage.allCases {
            guard let known = timings[stage], !known.isEmpty else { continue }
            let texts = known.map { "\(RehearsalReport.time($0.seconds)) with \(Self.text($0.crew, stage))" }
            lines.append("\(stage.rawValue) a step takes \(texts.joined(separator: ", "))")
        }
        let chosen = Stage.allCases.compactMap { stage in
            crews[stage].map { "\(stage.rawValue) by \(Self.text($0, stage))" }
        }
        lines.append("chosen for \(cores) core\(cores == 1 ? "" : "s"): " + chosen.joined(separator: ", "))
        let share = Int((busyShare * 100).rounded())
        lines.append(
            "a step takes about \(RehearsalReport.time(seconds)), and the learner trains for \(share)% of it: \(reason)"
        )
        return lines
    }

    private var reason: String {
        let longest = crews.map { ($0.key, Self.seconds(timings[$0.key]!, cores: $0.value.cores)) }.max { $0.1 < $1.1 }
        let name = longest?.0.rawValue ?? "training"
        if isApart { return "each part has cores of its own, and \(name) takes the longest" }
        return overlaps
            ? "the parts take turns, for with cores of its own \(name) alone would take longer"
            : "with pipeline.max_staleness 0 the parts take turns, each with all cores"
    }

    private static func text(_ crew: Crew, _ stage: Stage) -> String {
        let name =
            switch stage {
            case .sampling: "worker"
            case .grading: "scorer"
            case .training: "learner"
            }
        let threads = "\(crew.threads) thread\(crew.threads == 1 ? "" : "s")"
        if crew.processes == 1 { return "1 \(name) of \(threads)" }
        return "\(crew.processes) \(name)s of \(threads) each"
    }
}

import Distillation
import Wording

/// What the live line of a run shows, and how it is put into words; no terminal here.
package struct ProgressLine: Sendable, Equatable {
    /// Steps of the whole run.
    package var steps: Int
    /// Steps done.
    package var step: Int
    /// The last step recorded.
    package var last: StepMetrics?
    /// What the line shows of the steps done, oldest first: divergence, else reward, else loss.
    package var history: [Double] = []
    /// Seconds of the latest steps, oldest first.
    package var durations: [Double] = []
    /// Rollouts of the current step that have been sampled and scored, of how many.
    package var sampled = 0
    package var scored = 0
    package var wanted = 0
    /// What the run is doing when it is not in a step: "evaluating", "waiting for a rollout worker"; nil when it is.
    package var activity: String?
    /// What a wide terminal shows beside.
    package private(set) var courses = ProgressCourses()

    package init(steps: Int, startingAfter step: Int = 0) {
        self.steps = steps
        self.step = step
    }

    /// The quantity whose values `history` holds.
    private var headline = "KL"
    /// Share of held-out responses that passed at the last evaluation.
    private var passRate: Double?
    /// The teachers' share on the same prompts, where they were asked.
    private var teacherPassRate: Double?

    /// Takes in a finished step.
    package mutating func record(_ metrics: StepMetrics) {
        last = metrics
        step = Int(metrics.step)
        courses.record(metrics)
        passRate = metrics.evaluation?.passRate ?? passRate
        teacherPassRate = metrics.evaluation?.teacherPassRate ?? teacherPassRate
        if let training = metrics.training {
            let (name, value) = Self.headline(training)
            headline = name
            if value.isFinite { history = (history + [value]).suffix(64) }
            // Evaluations are rare and long: they would make every step look like one.
            let pace = max(0, metrics.timing.stepSeconds - metrics.timing.waitEvaluationSeconds)
            durations = (durations + [pace]).suffix(10)
        }
        (sampled, scored, wanted) = (0, 0, 0)
        activity = nil
    }

    /// Seconds the remaining steps will take at the pace of the latest ones; nil before the first.
    package var secondsLeft: Double? {
        guard !durations.isEmpty else { return nil }
        return Double(max(0, steps - step)) * durations.reduce(0, +) / Double(durations.count)
    }

    /// The live line in at most `width` columns; what matters least goes first when it does not fit.
    package func live(width: Int) -> String {
        var parts: [(text: String, rank: Int)] = [("step \(step)/\(steps)", 0)]
        if let value = history.last {
            parts.append(("\(headline) \(Self.fixed(value, 3))\(Self.trend(history))", 1))
            parts.append((Self.sparkline(history, width: 12), 5))
        }
        if let passRate { parts.append(("held-out right \(Self.percent(passRate))", 1)) }
        if let activity {
            parts.append((activity, 2))
        } else if wanted > 0 {
            parts.append(("sampled \(sampled) scored \(scored) of \(wanted)", 6))
        }
        if let rates = rates { parts.append((rates, 4)) }
        if let waits = waits { parts.append((waits, 3)) }
        if let left = secondsLeft { parts.append(("\(Self.duration(left)) left", 2)) }
        // One column stays free: a full last column makes some terminals wrap.
        while parts.count > 1, Self.length(of: parts) > width - 1 {
            guard let worst = parts.indices.max(by: { parts[$0].rank < parts[$1].rank }) else { break }
            parts.remove(at: worst)
        }
        return String(parts.map(\.text).joined(separator: "  ").prefix(max(0, width - 1)))
    }

    /// The line that stays above the live one after an evaluation: the share of held-out problems that the student has
    /// right as a bar of 100%, with a mark where its teachers are. Nil when the last step had no such evaluation.
    package func bar(width: Int) -> String? {
        guard let passRate = last?.evaluation?.passRate else { return nil }
        let total = String(steps)
        let done = String(repeating: " ", count: max(0, total.count - String(step).count)) + String(step)
        let share = Self.percent(passRate)
        let head =
            "step \(done)/\(total)  held-out right " + String(repeating: " ", count: max(0, 6 - share.count)) + share
        let tail = teacherPassRate.map { "  teacher \(Self.percent($0))" } ?? ""
        let columns = min(40, width - 1 - head.count - tail.count - 2)
        guard columns >= 8 else {
            return head.count + tail.count < width ? head + tail : String(head.prefix(max(0, width - 1)))
        }
        return head + "  " + Self.bar(passRate, mark: teacherPassRate, columns: columns) + tail
    }

    /// The line printed after each step when there is no terminal.
    package var plain: String {
        var parts = ["step \(step)/\(steps)"]
        if last?.skipped != nil { parts.append("skipped") }
        if let training = last?.training {
            let (name, value) = Self.headline(training)
            parts.append("\(name) \(Self.fixed(value, 4))")
        }
        if let kl = last?.evaluation?.teacherKL { parts.append("held-out KL \(Self.fixed(kl, 4))") }
        if let loss = last?.evaluation?.crossEntropy { parts.append("held-out cross-entropy \(Self.fixed(loss, 4))") }
        if let passRate = last?.evaluation?.passRate {
            let teacher = teacherPassRate.map { ", the teacher \(Self.percent($0))" } ?? ""
            parts.append("held-out right \(Self.percent(passRate))\(teacher)")
        }
        if let last, last.training != nil { parts.append("\(Self.fixed(last.timing.stepSeconds, 1)) s") }
        if let rates = rates { parts.append(rates) }
        if let waits = waits { parts.append(waits) }
        if let left = secondsLeft, step < steps { parts.append("\(Self.duration(left)) left") }
        return parts.joined(separator: ", ")
    }

    private var rates: String? {
        guard let last, last.training != nil else { return nil }
        let rates = [
            ("sample", last.timing.samplingTokensPerSecond), ("score", last.timing.scoringTokensPerSecond),
            ("train", last.timing.trainingTokensPerSecond),
        ]
        // Some runs have no workers or no scorers.
        return rates.filter { $0.1 > 0 }.map { "\($0) \(Self.rate($1))" }.joined(separator: " ") + " tok/s"
    }

    /// Who the learner waited for most, as a share of the step.
    private var waits: String? {
        guard let last, last.training != nil, last.timing.stepSeconds > 0 else { return nil }
        let waits = [
            ("rollouts", last.timing.waitRolloutsSeconds), ("scores", last.timing.waitScoresSeconds),
            ("the evaluation", last.timing.waitEvaluationSeconds),
        ]
        guard let longest = waits.max(by: { $0.1 < $1.1 }) else { return nil }
        let share = min(100, longest.1 / last.timing.stepSeconds * 100)
        return share < 10 ? "learner never waits" : "learner waits for \(longest.0) \(Self.fixed(share, 0))%"
    }

    /// The one figure of a step that tells most of how it goes.
    private static func headline(_ training: TrainingMetrics) -> (name: String, value: Double) {
        if let kl = training.teacherKL { return ("KL", kl) }
        // The reward of responses that are imitated is their teacher's.
        if let reward = training.rewardMean, training.ratioMean != nil { return ("reward", reward) }
        return ("loss", training.loss)
    }

    /// `81.3%`.
    static func percent(_ share: Double) -> String { fixed(100 * share, 1) + "%" }

    private static func length(of parts: [(text: String, rank: Int)]) -> Int {
        parts.reduce(0) { $0 + $1.text.count } + 2 * (parts.count - 1)
    }
}

extension ProgressLine {
    /// An arrow for the mean of the last quarter against the quarter before it; nothing while there are too few values.
    package static func trend(_ values: [Double]) -> String {
        guard values.count >= 4 else { return "" }
        let window = max(2, min(8, values.count / 4))
        let recent = values.suffix(window).reduce(0, +) / Double(window)
        let before = values.dropLast(window).suffix(window)
        let earlier = before.reduce(0, +) / Double(before.count)
        let change = (recent - earlier) / max(abs(earlier), 1e-9)
        return change < -0.01 ? " ↓" : (change > 0.01 ? " ↑" : " →")
    }

    /// Block characters from lowest to highest value; each column the mean of its share of the values.
    package static func sparkline(_ values: [Double], width: Int) -> String {
        let blocks = Array("▁▂▃▄▅▆▇█")
        let finite = values.filter(\.isFinite)
        guard !finite.isEmpty, width > 0 else { return "" }
        let columns = min(width, finite.count)
        let means = (0..<columns).map { column -> Double in
            let slice = finite[(column * finite.count / columns)..<((column + 1) * finite.count / columns)]
            return slice.reduce(0, +) / Double(slice.count)
        }
        let low = means.min() ?? 0, high = means.max() ?? 0
        guard high > low else { return String(repeating: blocks[0], count: columns) }
        return String(means.map { blocks[min(7, Int(($0 - low) / (high - low) * 8))] })
    }

    /// A share of 1 in eighths of a column, with a mark where the bar does not reach it; nil: none.
    static func bar(_ share: Double, mark: Double?, columns: Int) -> String {
        let parts = Array(" ▏▎▍▌▋▊▉")
        let eighths = Int((min(1, max(0, share)) * Double(columns) * 8).rounded())
        var cells = [Character](repeating: "█", count: eighths / 8)
        if eighths % 8 > 0 { cells.append(parts[eighths % 8]) }
        let filled = cells.count
        cells += [Character](repeating: " ", count: columns - filled)
        if let mark {
            let place = min(columns - 1, Int(min(1, max(0, mark)) * Double(columns)))
            if place >= filled { cells[place] = "│" }
        }
        while mark == nil, cells.last == " " { cells.removeLast() }
        return String(cells)
    }

    /// `905`, `1.6k`, `2.3M`.
    package static func rate(_ value: Double) -> String {
        guard value.isFinite else { return "-" }
        if value < 999.5 { return fixed(value, 0) }
        if value < 999_500 { return fixed(value / 1000, value < 99_950 ? 1 : 0) + "k" }
        return fixed(value / 1_000_000, 1) + "M"
    }

    /// `0:07`, `12:30`, `1:02:03`, `3d 4h`.
    package static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e12 else { return "?" }
        let whole = Int(seconds.rounded())
        func two(_ value: Int) -> String { value.padded(to: 2) }
        if whole < 3600 { return "\(whole / 60):\(two(whole % 60))" }
        if whole < 86_400 { return "\(whole / 3600):\(two(whole / 60 % 60)):\(two(whole % 60))" }
        return "\(whole / 86_400)d \(whole / 3600 % 24)h"
    }

    /// A number with this many decimals, rounded to nearest; the same text on every machine and in every locale.
    package static func fixed(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite else { return value.isNaN ? "nan" : (value < 0 ? "-inf" : "inf") }
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        guard abs(value) * scale < 1e15 else { return value.description }
        let scaled = Int((abs(value) * scale).rounded())
        let sign = value < 0 && scaled > 0 ? "-" : ""
        let whole = scaled / Int(scale)
        if decimals == 0 { return sign + String(whole) }
        return "\(sign)\(whole)." + (scaled % Int(scale)).padded(to: decimals)
    }
}

import Files
import Foundation
import RunFiles
import SystemPackage
import Telemetry

/// What `metrics.jsonl` of a run says, in bounded space.
package struct MetricsDigest: Sendable {
    /// A number of the file, with the step of its line.
    package struct Found: Equatable, Sendable {
        package var step: Double
        package var value: Double
        package var isInteger: Bool

        /// The number as people read it: a whole one as it is, others with four decimals, and what those cannot show with
        /// three digits.
        package var text: String {
            if isInteger, abs(value) < 9e15 { return String(Int(value)) }
            return value != 0 && abs(value) < 0.00005
                ? String(format: "%.2e", value) : ProgressLine.fixed(value, 4)
        }
        package var stepText: String { String(Int(step)) }
    }

    /// An evaluation, and where in the run it was.
    struct Evaluation: Sendable {
        var end: SIMD4<Double>
        var values: [Double]
    }

    /// A step that was skipped, and why.
    struct BadStep: Sendable {
        var step: Double
        var reason: String
    }

    private(set) var series: MetricsSeries
    /// Numbers by names that are the run's own, in the points of `series`, and these names; nil: the run has none.
    private(set) var named: MetricsSeries?
    private(set) var names: [String] = []
    /// Whether the run has more names than these.
    private var leavesOutNames = false
    /// The last number of each of `names`.
    private var namedLasts: [Double] = []
    private(set) var evaluations: Thinned<Evaluation>
    private(set) var badSteps = Thinned<BadStep>(limit: 100)
    private var lastLedger: SIMD4<Double>?
    private var lastCost: SIMD3<Double>?
    private(set) var lineCount = 0
    /// Lines that are no steps.
    private(set) var unreadable = 0
    private(set) var lineNumberOfFirstUnreadable = 0
    /// Why the file could not be read at all; nil: it was.
    private(set) var failure: String?
    private var firsts: [Found?]
    private var lasts: [Found?]

    /// Seconds since the run's first step.
    private var seconds = 0.0
    private var lastStep = -1.0
    private var numberOfLine = 0
    private var follower = LineFollower(LineScanner(limit: 1 << 20))
    private let points: Int
    /// How often what was known has become void.
    private var beginnings: Int

    /// Reads what the file has.
    /// - Parameter points: most points of a curve.
    package init(of run: RunFolder, points: Int = 1024) {
        self.init(points: points, beginnings: 0)
        follow(run)
    }

    private init(points: Int, beginnings: Int) {
        self.points = points
        self.beginnings = beginnings
        series = MetricsSeries(limit: points)
        evaluations = Thinned(limit: points)
        firsts = Array(repeating: nil, count: MetricsColumns.all.count)
        lasts = firsts
    }

    /// Generated, trained, discarded, in flight, after the last step; nil without steps.
    package var ledger: [Double]? { lastLedger.map { [$0.x, $0.y, $0.z, $0.w] } }
    /// Operations of sampling, scoring, training; nil: not counted.
    var cost: [Double]? { lastCost.map { [$0.x, $0.y, $0.z] } }

    /// Points of the curves with the same number are of the same lines, but for the last, as long as this is the same.
    var generation: Int { beginnings << 6 | series.linesPerPoint.trailingZeroBitCount }

    /// Reads what has come since the last look.
    /// - Returns: whether anything has changed.
    @discardableResult
    package mutating func follow(_ run: RunFolder) -> Bool {
        var follower = follower
        defer { self.follower = follower }
        let failed = failure
        var line = MetricsLine()
        do {
            let report = try follower.follow(run.metrics) {
                self = MetricsDigest(points: points, beginnings: beginnings + 1)
            } line: { bytes, _ in
                numberOfLine += 1
                if bytes.isEmpty { return }
                if line.read(bytes), line.values[MetricsColumns.step] >= lastStep {
                    add(line)
                } else {
                    if unreadable == 0 { lineNumberOfFirstUnreadable = numberOfLine }
                    unreadable += 1
                }
            }
            guard let report else { return false }
            unreadable += report.tooLong
            failure = nil
            return true
        } catch {
            if follower.hasBegun { self = MetricsDigest(points: points, beginnings: beginnings + 1) }
            follower.forget()
            failure = error.code == .noSuchFileOrDirectory ? "metrics.jsonl is not there" : error.description
            return failure != failed
        }
    }

    private mutating func add(_ line: MetricsLine) {
        let values = line.values, step = values[MetricsColumns.step]
        lineCount += 1
        lastStep = step
        let stepSeconds = values[MetricsColumns.stepSeconds]
        if stepSeconds.isFinite, stepSeconds > 0 { seconds += stepSeconds }
        let cost = MetricsColumns.costs.lowerBound
        let operations = SIMD3(values[cost], values[cost + 1], values[cost + 2])
        let sum = operations.x + operations.y + operations.z
        if sum.isFinite { lastCost = operations }
        let trained = values[MetricsColumns.trained]
        let counts = SIMD4(
            values[MetricsColumns.generated], trained, values[MetricsColumns.discarded],
            values[MetricsColumns.inFlight])
        if counts.sum().isFinite { lastLedger = counts }
        let end = SIMD4(step, seconds, trained, sum.isFinite ? sum : .nan)
        for (place, value) in values.enumerated() where value.isFinite {
            let found = Found(step: step, value: value, isInteger: line.integers >> UInt64(place) & 1 == 1)
            if firsts[place] == nil { firsts[place] = found }
            lasts[place] = found
        }
        if let skipped = line.skipped {
            badSteps.add(BadStep(step: step, reason: RunText.cut(skipped, to: 300)))
        }
        if line.hasTraining || line.skipped != nil {
            let places = MetricsColumns.firstSeries..<MetricsColumns.firstEvaluation
            // Rates of nothing are no rates.
            var measured = values[places]
            for place in MetricsColumns.rates where values[place] == 0 { measured[place] = .nan }
            if line.leavesOutNames { leavesOutNames = true }
            addNamed(line.named, end: end)
            series.add(measured, end: end)
        }
        if line.hasEvaluation {
            evaluations.add(Evaluation(end: end, values: Array(values[MetricsColumns.firstEvaluation...])))
        }
    }

    /// Takes the numbers of a line of training by names that are the run's own, before ``series`` takes the others.
    private mutating func addNamed(_ found: [(name: String, value: Double)], end: SIMD4<Double>) {
        for (name, _) in found where !names.contains(name) {
            guard names.count < MetricsColumns.mostNames else {
                leavesOutNames = true
                break
            }
            names.append(name)
            namedLasts.append(.nan)
        }
        guard !names.isEmpty else { return }
        var values = [Double](repeating: .nan, count: MetricsColumns.mostNames)
        for (name, value) in found {
            guard let place = names.firstIndex(of: name) else { continue }
            values[place] = value
            if value.isFinite { namedLasts[place] = value }
        }
        var named = self.named ?? MetricsSeries(beside: series, width: MetricsColumns.mostNames)
        self.named = nil
        named.add(values[...], end: end)
        self.named = named
    }

    /// The first and the last number with this name; nil where no line has one.
    package func range(of name: String) -> (first: Found, last: Found)? {
        guard let place = MetricsColumns.all.firstIndex(where: { "\($0)" == name }), let first = firsts[place],
            let last = lasts[place]
        else { return nil }
        return (first, last)
    }

    package func last(_ name: String) -> Found? { range(of: name)?.last }

    /// The last numbers of a member that has one for each of some names, with these names.
    func lastNamed(_ member: String) -> [(name: String, value: Double)] {
        zip(names, namedLasts).compactMap { name, value in
            name.hasPrefix("\(member)/") ? (String(name.dropFirst(member.count + 1)), value) : nil
        }
    }

    /// What of the file could not be shown, for a person.
    var notes: [String] {
        if let failure { return [failure] }
        var notes: [String] = []
        if unreadable > 0 {
            let number = lineNumberOfFirstUnreadable, first = number > 0 ? ", the first of them line \(number)" : ""
            notes.append("metrics.jsonl: \(unreadable) of its lines are no steps and are left out\(first)")
        }
        if leavesOutNames {
            notes.append(
                "metrics.jsonl: of the teachers, tags, turns and ends that it names \(names.count) are shown; more than "
                    + "\(MetricsColumns.mostNames), and names of more than \(MetricsColumns.longestName) bytes, are not"
            )
        }
        return notes
    }
}

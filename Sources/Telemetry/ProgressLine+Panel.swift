import Distillation

/// What a wide terminal shows of the steps done beside the live line: courses of some figures, and where time goes.
package struct ProgressCourses: Sendable, Equatable {
    /// A figure's latest values, oldest first.
    struct Course: Sendable, Equatable {
        var name: String
        var values: [Double]
        /// How its last value is written.
        var style: Style
    }

    /// A way of writing a figure.
    enum Style: Sendable, Equatable { case decimals(Int), percent, rate }

    private(set) var figures: [Course] = []
    private(set) var rates: [Course] = []
    /// Seconds of the latest steps: whole, and of each kind of work or wait.
    private var times: [(whole: Double, parts: [Double])] = []

    /// Most values of a course: as many as the live line has.
    private static let memory = 64, timedSteps = 10
    private static let kinds = ["trains", "waits for rollouts", "waits for scores", "waits for the evaluation"]

    package static func == (one: Self, other: Self) -> Bool {
        one.figures == other.figures && one.rates == other.rates
            && one.times.map(\.whole) == other.times.map(\.whole)
            && one.times.map(\.parts) == other.times.map(\.parts)
    }

    mutating func record(_ metrics: StepMetrics) {
        if let rate = metrics.evaluation?.passRate { add(rate, "held-out right", .percent, to: \.figures) }
        if let kl = metrics.evaluation?.teacherKL { add(kl, "held-out KL", .decimals(3), to: \.figures) }
        guard let training = metrics.training else { return }
        if let entropy = training.entropy { add(entropy, "entropy", .decimals(3), to: \.figures) }
        add(training.gradNorm, "gradient", .decimals(2), to: \.figures)
        add(training.responseLengthMean, "length", .decimals(1), to: \.figures)
        let timing = metrics.timing
        for (name, value) in [
            ("sample", timing.samplingTokensPerSecond), ("score", timing.scoringTokensPerSecond),
            ("train", timing.trainingTokensPerSecond),
        ] where value > 0 {
            add(value, name, .rate, to: \.rates)
        }
        guard timing.stepSeconds > 0 else { return }
        let parts = [
            timing.trainSeconds, timing.waitRolloutsSeconds, timing.waitScoresSeconds, timing.waitEvaluationSeconds,
        ]
        times = (times + [(timing.stepSeconds, parts)]).suffix(Self.timedSteps)
    }

    private mutating func add(
        _ value: Double, _ name: String, _ style: Style, to courses: WritableKeyPath<Self, [Course]>
    ) {
        guard value.isFinite else { return }
        if let place = self[keyPath: courses].firstIndex(where: { $0.name == name }) {
            let values = self[keyPath: courses][place].values
            self[keyPath: courses][place].values = (values + [value]).suffix(Self.memory)
        } else {
            self[keyPath: courses].append(Course(name: name, values: [value], style: style))
        }
    }

    /// The learner's time over the latest steps, in words: `trains 62%, waits for rollouts 30%`; nil before the first.
    var shares: String? {
        let whole = times.reduce(0) { $0 + $1.whole }
        guard whole > 0 else { return nil }
        let shares = Self.kinds.indices.map { kind in times.reduce(0) { $0 + $1.parts[kind] } / whole }
        let named = zip(Self.kinds, shares).filter { $0.1 >= 0.005 }
        return named.map { "\($0.0) \(ProgressLine.fixed(100 * min(1, $0.1), 0))%" }.joined(separator: ", ")
    }
}

extension ProgressLine {
    /// Columns from which there is room for more than the live line.
    package static let panelWidth = 100

    /// The live line, and below it, where there are ``panelWidth`` columns, the courses of some figures, the tokens a
    /// second of each stage, and where the learner's time goes. Every line has at most `width` columns less one.
    package func panel(width: Int) -> String {
        let first = live(width: width)
        guard width >= Self.panelWidth else { return first }
        let more = [
            Self.line("figures", courses.figures, width: width), Self.line("tok/s", courses.rates, width: width),
            courses.shares.flatMap { $0.isEmpty ? nil : Self.label("learner") + $0 },
        ]
        return ([first] + more.compactMap { $0 }).map { String($0.prefix(width - 1)) }.joined(separator: "\n")
    }

    private static func label(_ name: String) -> String {
        "  " + name + String(repeating: " ", count: max(1, 9 - name.count))
    }

    /// A line of as many courses as it has room for; nil: there are none.
    private static func line(_ name: String, _ courses: [ProgressCourses.Course], width: Int) -> String? {
        var line = label(name), isFirst = true
        for course in courses {
            let last = course.values.last ?? .nan
            let text =
                switch course.style {
                case .decimals(let count): fixed(last, count)
                case .percent: percent(last)
                case .rate: rate(last)
                }
            let part = "\(isFirst ? "" : "  ")\(course.name) \(text) \(sparkline(course.values, width: 16))"
            guard line.count + part.count < width else { continue }
            line += part
            isFirst = false
        }
        return isFirst ? nil : line
    }
}

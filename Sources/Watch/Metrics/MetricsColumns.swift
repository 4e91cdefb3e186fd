import JSON

/// The members of a line of `metrics.jsonl` that are numbers, each with a place.
enum MetricsColumns {
    /// What the line counts since the start of the run; never averaged.
    static let counts: [StaticString] = [
        "step", "version", "tokens_generated", "tokens_trained", "tokens_discarded", "tokens_in_flight",
        "sampling_flops", "scoring_flops", "training_flops",
    ]
    /// What a step did.
    static let series: [StaticString] = [
        "loss", "teacher_kl", "entropy", "ratio_mean", "ratio_max", "clip_fraction", "grad_norm", "lr",
        "response_length_mean", "truncated_fraction", "staleness_mean", "staleness_max", "batch_tokens",
        "sampling_tokens_per_second", "scoring_tokens_per_second", "training_tokens_per_second", "wait_rollouts_s",
        "wait_scores_s", "wait_evaluation_s", "train_s", "step_s", "mismatch_mean", "mismatch_max", "reward_mean",
        "pass_rate", "divergence", "tail_mass", "teacher_tail_mass", "clamp_fraction", "one_to_one_fraction",
        "ungraded_fraction", "weight_bytes", "weight_difference_bytes", "weight_density", "weight_difference_s",
        "cross_entropy", "teacher_choice_fraction",
        "teacher_entropy", "teacher_kl_from_0", "teacher_kl_from_16", "teacher_kl_from_64", "teacher_kl_from_256",
        "teacher_kl_from_1024", "turns_mean", "copy_age_s",
    ]
    /// Members that are objects: a number for each of some names, which are the run's own.
    static let named: [StaticString] = [
        "teacher_kl_by_teacher", "teacher_kl_by_tag", "teacher_kl_by_turn", "episode_ends",
    ]
    /// The most of such names that are shown of a run, and the most bytes of one.
    static let mostNames = 64, longestName = 200
    /// What a held-out evaluation found.
    static let evaluation: [StaticString] = [
        "eval_teacher_kl", "eval_pass_at_1", "eval_teacher_pass_at_1", "eval_cross_entropy", "eval_reward_mean",
        "eval_response_length_mean", "eval_truncated_fraction", "eval_responses", "eval_tokens",
    ]
    static let all = counts + series + evaluation

    static let step = 0, version = 1, generated = 2, trained = 3, discarded = 4, inFlight = 5
    static let costs = 6..<9
    static let firstSeries = counts.count
    static let firstEvaluation = counts.count + series.count
    static let stepSeconds = place("step_s")
    /// Rates that are 0 at every step of a run without workers or scorers: there is nothing to measure.
    static let rates = [
        "sampling_tokens_per_second", "scoring_tokens_per_second", "training_tokens_per_second",
    ].map { place($0) }
    static func place(_ name: String) -> Int { all.firstIndex { "\($0)" == name } ?? 0 }
}

/// The numbers of one line, by their place in ``MetricsColumns/all``; what the line does not have is no number (NaN).
struct MetricsLine {
    private(set) var values = [Double](repeating: .nan, count: MetricsColumns.all.count)
    /// One bit a place: whether the number is written as a whole one.
    private(set) var integers: UInt64 = 0
    /// Why the step was given up; nil: it was not.
    private(set) var skipped: String?
    /// Numbers by names that are the run's own, each behind that of its member and a slash.
    private(set) var named: [(name: String, value: Double)] = []
    /// Whether the line has more such names than are read, or longer ones.
    private(set) var leavesOutNames = false
    private(set) var hasTraining = false
    private(set) var hasEvaluation = false
    /// The places of the members of the line before, in their order: the next line mostly has the same.
    private var order: [Int] = []
    /// Names by their bytes in the file, so that each is read once.
    private var names: [[UInt8]: String] = [:]

    private static let batchTokens = MetricsColumns.place("batch_tokens")
    private static let responses = MetricsColumns.place("eval_responses")

    /// Reads a line in place of the one before.
    /// - Returns: whether it is one.
    mutating func read(_ bytes: UnsafeRawBufferPointer) -> Bool {
        for index in values.indices { values[index] = .nan }
        integers = 0
        skipped = nil
        named.removeAll(keepingCapacity: true)
        leavesOutNames = false
        var scanner = ObjectScanner(bytes)
        let all = MetricsColumns.all
        var member = 0
        while true {
            var found: Int?
            if member < order.count, scanner.isKey(all[order[member]]) {
                found = order[member]
            } else {
                guard let key = scanner.key() else { break }
                found = all.firstIndex { key.isEqual($0) }
                guard let found else {
                    if key.isEqual("skipped") {
                        readSkipped(&scanner, in: bytes)
                    } else if let member = MetricsColumns.named.first(where: { key.isEqual($0) }) {
                        readNamed(scanner.raw(), of: member)
                    } else {
                        scanner.skip()
                    }
                    continue
                }
                // What comes now and then, such as an evaluation's numbers, is at the end.
                if member < order.count { order[member] = found } else if member < all.count { order.append(found) }
            }
            member += 1
            // Of a member that comes twice the first counts, as everywhere here.
            guard let place = found, let number = scanner.number(), values[place].isNaN else { continue }
            values[place] = number.value
            if number.isInteger { integers |= 1 << UInt64(place) }
        }
        hasTraining = !values[Self.batchTokens].isNaN
        hasEvaluation = !values[Self.responses].isNaN
        return scanner.isWhole && isCounted
    }

    /// Whether the counts are whole numbers that Double has exactly.
    private var isCounted: Bool {
        for place in 0...MetricsColumns.inFlight {
            let value = values[place]
            if value.isNaN, place > MetricsColumns.version { continue }
            guard value >= 0, value <= 9_007_199_254_740_992, value == value.rounded(.down) else { return false }
        }
        return true
    }

    /// Reads what should be an object of numbers; what is not is left out.
    private mutating func readNamed(_ bytes: UnsafeRawBufferPointer, of member: StaticString) {
        var scanner = ObjectScanner(bytes)
        while let key = scanner.key() {
            guard named.count < MetricsColumns.mostNames else { return leavesOutNames = true }
            guard key.count <= MetricsColumns.longestName else {
                leavesOutNames = true
                scanner.skip()
                continue
            }
            let raw = Array(key)
            guard let number = scanner.number() else { continue }
            guard let name = names[raw] ?? RunText.unescaped(key) else { continue }
            if names.count < 2 * MetricsColumns.mostNames { names[raw] = name }
            named.append(("\(member)/\(name)", number.value))
        }
    }

    private mutating func readSkipped(_ scanner: inout ObjectScanner, in bytes: UnsafeRawBufferPointer) {
        var copy = scanner
        guard let raw = copy.quoted() else { return scanner.skip() }
        scanner = copy
        skipped = RunText.unescaped(raw)
    }
}

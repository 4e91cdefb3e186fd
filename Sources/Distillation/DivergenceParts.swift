/// The reverse KL of a batch's response tokens by the parts of the batch: where in the response a token stands, whose
/// teacher graded it, how its prompt is tagged, in which turn of an episode it stands.
///
/// Each value is a mean of b - t over the tokens of its part, in nats, without the bounds that advantages may have, as
/// ``BatchStatistics/teacherKL`` is over all of them. Sums are in Double, added up in batch order, so that equal batches
/// give equal bits.
package struct DivergenceParts: Sendable, Equatable, Codable {
    /// The first places of the parts of a response, ascending from 0: a token is in the last part that begins at or
    /// before its place.
    package static let beginnings = [0, 16, 64, 256, 1024]

    /// One a part of the responses, as ``beginnings`` has them; nil where no graded response reaches.
    package var positions: [Double?]
    /// By the names of those who graded; none where the run does not tell them apart.
    package var teachers: [String: Double]
    /// By the tags of prompts; none where the run has no tags.
    package var tags: [String: Double]
    /// By the turns of episodes, the first of them, counted from 1; none where the run has no episodes.
    package var turns: [Int: Double]

    package init(
        positions: [Double?] = [], teachers: [String: Double] = [:], tags: [String: Double] = [:],
        turns: [Int: Double] = [:]
    ) {
        self.positions = positions
        self.teachers = teachers
        self.tags = tags
        self.turns = turns
    }

    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        positions = try values.decode([Double?].self, forKey: .positions)
        teachers = try values.decode([String: Double].self, forKey: .teachers)
        tags = try values.decode([String: Double].self, forKey: .tags)
        // A checkpoint of before there were turns has none.
        turns = try values.decodeIfPresent([Int: Double].self, forKey: .turns) ?? [:]
    }

    /// Nil where no teacher has graded anything.
    /// - Parameters:
    ///   - prompts: what the batch answers, one a trajectory.
    ///   - groups: the teachers and tags that are told apart.
    package init?(_ batch: [ScoredTrajectory], of prompts: [Prompt], in groups: DivergenceGroups) {
        precondition(batch.count == prompts.count, "one prompt a trajectory")
        var positions = [TokenMean](repeating: TokenMean(), count: Self.beginnings.count)
        var teachers: [String: TokenMean] = [:], tags: [String: TokenMean] = [:], turns: [Int: TokenMean] = [:]
        var isGraded = false
        for (scored, prompt) in zip(batch, prompts) where scored.trajectory.isGraded {
            let values = reverseKL(policy: scored.trajectory.behaviourLogprobs, teacher: scored.teacherLogprobs)
            isGraded = true
            var part = 0
            for (place, value) in values.enumerated() {
                while part + 1 < positions.count, place >= Self.beginnings[part + 1] { part += 1 }
                positions[part].add(value)
            }
            if groups.hasTurns {
                var rest = values[...]
                for (turn, tokens) in zip(1...DivergenceGroups.most, scored.trajectory.tokens.predicted) {
                    turns[turn, default: TokenMean()].add(Array(rest.prefix(tokens.count)))
                    rest = rest.dropFirst(tokens.count)
                }
            }
            let teacher = prompt.gradersName
            if groups.teachers.contains(teacher) { teachers[teacher, default: TokenMean()].add(values) }
            for tag in Set(prompt.tags).intersection(groups.tags) { tags[tag, default: TokenMean()].add(values) }
        }
        guard isGraded else { return nil }
        self.positions = positions.map(\.value)
        self.teachers = teachers.compactMapValues(\.value)
        self.tags = tags.compactMapValues(\.value)
        self.turns = turns.compactMapValues(\.value)
    }
}

/// The teachers, the tags and the turns by which a run's divergence is told: a bounded number of each, the same for the
/// whole run.
package struct DivergenceGroups: Sendable, Equatable {
    /// The most of each that are told apart.
    package static let most = 16

    /// Names as ``Prompt/gradersName`` gives them; none where there is but one.
    package let teachers: Set<String>
    package let tags: Set<String>
    /// Whether responses are episodes.
    package let hasTurns: Bool

    /// Chooses those with the most prompts, of equally frequent ones the first by name.
    package init(of prompts: [Prompt]) {
        let graded = prompts.filter { $0.teacher != nil }
        let names = Self.mostFrequent(graded.map(\.gradersName))
        teachers = names.count > 1 ? Set(names) : []
        tags = Set(Self.mostFrequent(graded.flatMap { Set($0.tags) }))
        hasTurns = graded.contains { $0.episode != nil }
    }

    private static func mostFrequent(_ names: [String]) -> [String] {
        let counts = names.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
        return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(most).map(\.key)
    }
}

extension Prompt {
    /// The labels of all teachers that grade its responses, joined by `+`; empty where none does.
    package var gradersName: String { graders.map(\.label).joined(separator: "+") }
}

/// The mean of values that are added one by one.
private struct TokenMean {
    private var sum = 0.0
    private var count = 0

    /// Nil of nothing.
    var value: Double? { count == 0 ? nil : sum / Double(count) }

    mutating func add(_ value: Double) {
        sum += value
        count += 1
    }

    mutating func add(_ values: [Double]) {
        for value in values { add(value) }
    }
}

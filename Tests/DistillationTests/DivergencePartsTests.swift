import Distillation
import Foundation
import Testing

@Suite struct DivergencePartsTests {
    private func prompt(_ teacher: String?, _ tags: [String] = [], others: [String] = []) -> Prompt {
        var prompt = Prompt(ids: [1], teacher: teacher, tags: tags)
        prompt.others = others.map { PromptTeacher(label: $0, share: 0.5) }
        return prompt
    }

    private func response(_ values: [Float], of teacher: String? = "a") -> ScoredTrajectory {
        var response = scored(behaviour: values, teacher: values.map { _ in 0 })
        response.trajectory.teacher = teacher
        if teacher == nil { response.teacherLogprobs = [] }
        return response
    }

    /// Every mean by hand; what nobody graded counts nowhere, and a tag that comes twice once.
    @Test func partsAreTokenMeans() throws {
        let prompts = [prompt("a", ["add", "add", "easy"]), prompt("b", ["add"]), prompt("a", others: ["b"])]
        let groups = DivergenceGroups(of: prompts + [prompt(nil, ["other"])])
        #expect(groups.teachers == ["a", "b", "a+b"] && groups.tags == ["add", "easy"])
        let batch = [
            response([Float](repeating: 1, count: 16) + [3, 5]), response([2, 4], of: "b"), response([7]),
            response([100], of: nil),
        ]
        let parts = try #require(
            DivergenceParts(batch, of: prompts + [prompt(nil, ["add"])], in: groups))
        let first: Double = 29.0 / 19
        let positions: [Double?] = [first, 4, nil, nil, nil]
        let mean: Double = 24.0 / 18
        #expect(parts.positions == positions)
        #expect(parts.teachers == ["a": mean, "b": 3, "a+b": 7])
        #expect(parts.tags == ["add": 1.5, "easy": mean])
        #expect(DivergenceParts([batch[3]], of: [prompt(nil)], in: groups) == nil)
    }

    /// The divergence and the ends of episodes, by hand; what an environment says is in no turn.
    @Test func turnsAreToldApart() throws {
        var episode = prompt("a")
        episode.episode = "{}"
        func played(_ values: [Float], _ ids: Int, given: [Range<Int>], _ reason: FinishReason) -> ScoredTrajectory {
            var scored = response(values)
            scored.trajectory.tokens.responseIDs = [Int32](repeating: 1, count: ids)
            scored.trajectory.tokens.given = given
            scored.trajectory.finishReason = reason
            return scored
        }
        let batch = [
            played([1, 3, 7, 2], 8, given: [2..<5, 6..<7], .stop), played([5], 1, given: [], .length),
            played([4, 1], 3, given: [1..<2], .turns), played([4, 1], 3, given: [1..<2], .environment),
        ]
        let prompts = batch.map { _ in episode }
        let parts = try #require(DivergenceParts(batch, of: prompts, in: DivergenceGroups(of: prompts)))
        let first: Double = 17.0 / 5
        #expect(parts.turns == [1: first, 2: 3, 3: 2])
        let plain = batch.map { _ in prompt("a") }
        #expect(DivergenceParts(batch, of: plain, in: DivergenceGroups(of: plain))?.turns == [:])
        let ends: [FinishReason: Double] = [.stop: 0.25, .length: 0.25, .turns: 0.25, .environment: 0.25]
        #expect(EpisodeMetrics(batch) == EpisodeMetrics(turnsMean: 2, ends: ends) && EpisodeMetrics([]) == nil)
        let long = played(
            (0..<20).map { Float($0) }, 39, given: (0..<19).map { 2 * $0 + 1..<2 * $0 + 2 }, .stop)
        let many = DivergenceParts([long], of: [episode], in: DivergenceGroups(of: [episode]))
        #expect(many?.turns.count == DivergenceGroups.most && many?.turns[16] == 15)
    }

    /// A checkpoint of before there were turns is read, and what is written now comes back as it was.
    @Test func partsWithoutTurnsAreRead() throws {
        let parts = DivergenceParts(positions: [1, nil], teachers: ["a": 2], tags: ["b": 3], turns: [1: 4])
        let written = try JSONEncoder().encode(parts)
        #expect(try JSONDecoder().decode(DivergenceParts.self, from: written) == parts)
        var fields = try #require(try JSONSerialization.jsonObject(with: written) as? [String: Any])
        #expect(fields.removeValue(forKey: "turns") != nil)
        let earlier = try JSONSerialization.data(withJSONObject: fields)
        var expected = parts
        expected.turns = [:]
        #expect(try JSONDecoder().decode(DivergenceParts.self, from: earlier) == expected)
        fields["tags"] = nil
        let broken = try JSONSerialization.data(withJSONObject: fields)
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(DivergenceParts.self, from: broken) }
    }

    /// The parts of responses are a partition: together they are the mean of all.
    @Test func positionsAddUpToTheWhole() throws {
        var statistics = BatchStatistics()
        let batch = [1, 16, 17, 64, 300, 1500].map { count in
            response((0..<count).map { Float($0 % 7) / 8 })
        }
        for response in batch { statistics.add(response, version: 0) }
        let prompts = batch.map { _ in prompt("a") }
        let parts = try #require(DivergenceParts(batch, of: prompts, in: DivergenceGroups(of: prompts)))
        // One teacher and no tags: nothing to tell apart.
        #expect(parts.teachers.isEmpty && parts.tags.isEmpty)
        var sizes = [Int](repeating: 0, count: DivergenceParts.beginnings.count)
        for response in batch {
            for place in response.teacherLogprobs.indices {
                sizes[(DivergenceParts.beginnings.lastIndex { $0 <= place }) ?? 0] += 1
            }
        }
        #expect(sizes == [81, 145, 384, 812, 476])
        var sum = 0.0
        for (mean, size) in zip(parts.positions, sizes) { sum += (mean ?? .nan) * Double(size) }
        #expect(abs(sum / Double(statistics.tokens) - statistics.teacherKL) < 1e-12)
    }

    /// However many tags there are, a bounded number is told: the most frequent, then the first by name.
    @Test func groupsAreBounded() {
        let many = (0..<40).map { prompt("a", ["tag\($0)"]) } + [prompt("a", ["tag39"])]
        let tags = DivergenceGroups(of: many).tags
        #expect(tags.count == DivergenceGroups.most && tags.contains("tag39") && tags.contains("tag0"))
        #expect(!tags.contains("tag9") && DivergenceGroups(of: many.reversed()).tags == tags)
    }

    /// Listed tokens tell which of them the teacher likes best, ties included.
    @Test func listedTokensTellTheTeachersChoice() {
        var response = scored(behaviour: [-1, -1, -1, -1], teacher: [-1, -1, -1, -1])
        response.trajectory.tokens.responseIDs = [4, 9, 5, 4]
        let half: Float = -2, quarter: Float = -4
        response.top = TopTokens(
            count: 2, ids: [4, 9, 4, 9, 4, 9, 4, 9],
            logprobs: [half, quarter, half, quarter, half, quarter, quarter, quarter],
            tails: [-2, -2, -2, -2])
        var statistics = BatchStatistics()
        #expect(statistics.teacherChoice == nil && statistics.teacherEntropy == nil)
        _ = DistributionMatching(.reverseKL).pulls(
            of: response, current: [Float](repeating: -1.1, count: 12), tokenCount: 4, statistics: &statistics)
        #expect(statistics.teacherChoice == 0.5 && statistics.teacherEntropy == nil)
        let metrics = TrainingMetrics(statistics, gradNorm: 0, learningRate: 0)
        #expect(metrics.teacherChoice == 0.5 && metrics.parts == nil)
    }
}

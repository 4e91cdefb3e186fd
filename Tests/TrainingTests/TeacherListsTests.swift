import Compute
import Distillation
import Testing
import Training

/// Divergences from several teachers of a prompt, each of which lists tokens of its own.
@Suite struct TeacherListsTests {
    private typealias Single = DivergenceGradientTests

    /// What teachers of these movements of the student's weights list together.
    private static func batch(
        _ teachers: [(share: Double, moved: Float)], count: Int, temperature: Float = 1
    ) throws -> [ScoredTrajectory] {
        let grades = try teachers.map { try Single.grades(count: count, moved: $0.moved) }
        let mixed = (grades.first ?? []).indices.map { index in
            Grade(mixing: zip(teachers, grades).map { ($0.share, $1[index]) })
        }
        return Single.batch(mixed, temperature: temperature)
    }

    /// L by the reference functions: each teacher's divergence over its own classes, by its share.
    private static func loss(
        _ divergence: Divergence, _ batch: [ScoredTrajectory], _ evaluations: [ResponseEvaluation]
    ) throws -> Double {
        var sum = 0.0
        for (scored, evaluation) in zip(batch, evaluations) {
            let union = ClassLists(scored.lists.map(\.top))
            var (first, start) = (0, 0)
            for (position, count) in union.counts.enumerated() {
                let ids = Array(union.ids[first..<first + count])
                let own = evaluation.classes[start...start + count].map(Double.init)
                first += count
                start += count + 1
                for list in scored.lists {
                    let places = list.top.ids(at: position).compactMap { ids.firstIndex(of: $0) }
                    let rest = own.indices.filter { !places.contains($0) }.map { own[$0] }
                    sum +=
                        list.share
                        * divergence.position(
                            student: places.map { own[$0] } + [logSumExp(rest)],
                            teacher: list.top.classes(at: position)
                        ).value
                }
            }
        }
        return sum / Double(responseTokenCount(batch))
    }

    @Test(arguments: Single.divergences, [(1, Float(1)), (5, 0.7), (40, 1)])
    func gradientsAreSlopes(divergence: Divergence, shape: (count: Int, temperature: Float)) throws {
        let batch = try Self.batch(
            [(0.75, 0.2), (0.25, -0.3)], count: shape.count, temperature: shape.temperature)
        // They like different tokens, so that some classes are in one teacher's tail alone.
        let classes = batch.map { ClassLists($0.lists.map(\.top)) }
        #expect(classes.contains { $0.counts.contains { $0 > shape.count } })
        try Single.expectSlopes(divergence, batch, loss: Self.loss)
    }

    /// One teacher by two names is that teacher, to the last bit.
    @Test(arguments: Single.divergences) func aTeacherByTwoNamesIsOne(divergence: Divergence) throws {
        let objective = Objective.distribution(DistributionMatching(divergence))
        func run(_ batch: [ScoredTrajectory]) throws -> (BatchStatistics, [UInt32]) {
            let trainer = try Single.trainer()
            let statistics = Single.compute(objective, batch, trainer).statistics
            return (statistics, trainer.gradients.flat.floats().map(\.bitPattern))
        }
        let one = try run(Single.batch(try Single.grades(count: 6, moved: 0.2)))
        let two = try run(Self.batch([(0.5, 0.2), (0.5, 0.2)], count: 6))
        #expect(one.1 == two.1)
        #expect(one.0.divergence == two.0.divergence && one.0.loss == two.0.loss)
        #expect(one.0.tail == two.0.tail && one.0.teacherTail == two.0.teacherTail)
        // With several nobody tells what the teacher would have chosen.
        #expect(one.0.teacherChoice != nil && two.0.teacherChoice == nil)
    }

    /// The gradient of the sum is the sum of the gradients.
    @Test(arguments: Single.divergences) func teachersAddUp(divergence: Divergence) throws {
        let objective = Objective.distribution(DistributionMatching(divergence))
        func gradient(_ batch: [ScoredTrajectory]) throws -> [Float] {
            let trainer = try Single.trainer()
            _ = Single.compute(objective, batch, trainer)
            return trainer.gradients.flat.floats()
        }
        let both = try gradient(Self.batch([(0.75, 0.2), (0.25, -0.3)], count: 5))
        let first = try gradient(Single.batch(try Single.grades(count: 5, moved: 0.2)))
        let second = try gradient(Single.batch(try Single.grades(count: 5, moved: -0.3)))
        let sum = zip(first, second).map { 0.75 * $0 + 0.25 * $1 }
        let scale = sum.map(abs).max() ?? 0
        #expect(scale > 1e-3 && zip(sum, both).allSatisfy { abs($0 - $1) < 1e-5 * max(1, scale) })
    }
}

import Compute
import Distillation
import Foundation
import Generation
import Models
import Rules
import Testing
import Tokens
import Training
import Transformers

/// Divergences over tokens that the student lists, or both do, from a teacher's last hidden states to the gradients of every
/// parameter.
@Suite struct TokenListingTests {
    private static let divergences = DivergenceGradientTests.divergences
    private static let listings: [TokenListing] = [.student(5), .union(5)]
    private static let prompts: [[Int32]] = [[5, 9, 2], [5, 9, 2], [40, 1]]
    private static let responses: [[Int32]] = [[7, 31, 8, 3], [12, 4], [6, 6, 17, 29, 30, 2]]
    private static let count = responses.reduce(0) { $0 + $1.count }
    /// Both have a vocabulary of 300.
    private static let student = "mistral-window", teacher = "gemma2"

    private static func files(_ name: String) throws -> ModelFiles {
        try ModelFiles.open(
            URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .appending(path: "Fixtures/golden/\(name)").path)
    }

    private static func trainer(
        teacher: String = teacher, _ type: ElementType = .f32, budget: Int = 48, threads: Int = 1
    ) throws -> Trainer {
        let files = try files(student)
        let trainer = Trainer(
            configuration: files.configuration, masters: try ParameterBuffer(reading: files), type: type,
            threads: threads, tokenBudget: budget)
        trainer.teacherHeads["t"] = try TeacherHead(Self.files(teacher), type: type, context: trainer.context)
        return trainer
    }

    private static func grades(_ name: String, _ request: GradeRequest, _ type: ElementType = .f32) throws -> [Grade] {
        let engine = ScoringEngine(model: try LanguageModel(files(name), type: type, threads: 1))
        return try engine.grade(
            zip(prompts, responses).map { TokenSequence(promptIDs: $0, responseIDs: $1) }, request)
    }

    private static func sequences(_ grades: [Grade], temperature: Float = 1) throws -> [TrainingSequence] {
        try prompts.indices.map { index in
            var sequence = TrainingSequence(
                promptIDs: prompts[index], responseIDs: responses[index], temperature: temperature)
            sequence.compare(with: TeacherStates(label: "t", bytes: try #require(grades[index].hidden).bytes))
            return sequence
        }
    }

    private struct Result: Equatable {
        var gradient: [Float]
        var statistics: BatchStatistics

        var largest: Float { gradient.map(abs).max() ?? 0 }
        func distance(to other: Result) -> Float { zip(gradient, other.gradient).map { abs($0 - $1) }.max() ?? 0 }
    }

    private static func compute(
        _ divergence: Divergence, _ listing: TokenListing?, _ sequences: [TrainingSequence], _ trainer: Trainer
    ) -> Result {
        let method = DistributionMatching(divergence, listing: listing)
        let own = listing.map { listing in
            switch listing {
            case .student(let count): HeadListing(count: count, hasTeachers: false)
            case .union(let count): HeadListing(count: count, hasTeachers: true)
            }
        }
        // What the kernels would do with all tokens is the caller's with a listing.
        trainer.comparison = TeacherComparison(
            HeadDivergence(.reverseKL), weight: 1 / Float(count), listing: own)
        var statistics = BatchStatistics()
        _ = trainer.computeGradients(
            sequences,
            listedPulls: { classes in
                method.pulls(
                    of: ListedTokens(widths: classes.widths, student: classes.student, teacher: classes.teacher),
                    tokenCount: count, statistics: &statistics)
            },
            compared: { _, found in
                method.note(
                    DistributionComparison(
                        divergences: found.divergences, teacherEntropies: found.teacherEntropies,
                        teachersChoices: found.teachersChoices), statistics: &statistics)
            }
        ) { _, evaluation in [Float](repeating: 0, count: evaluation.logprobs.count) }
        return Result(gradient: trainer.gradients.flat.floats(), statistics: statistics)
    }

    /// The same by way of lists that are made before: which tokens, and what each side gives them, from the models alone.
    private static func computeBefore(_ divergence: Divergence, count listed: Int, _ trainer: Trainer) throws -> Result
    {
        let theirs = try grades(teacher, .top(299, below: 300)), own = try grades(student, .top(listed, below: 300))
        let tops = try responses.indices.map { index in
            let whole = try #require(theirs[index].top), top = try #require(own[index].top)
            var logprobs: [Float] = [], tails: [Float] = []
            for position in responses[index].indices {
                let places = position * whole.count..<(position + 1) * whole.count
                var vocabulary = [Double](repeating: Double(whole.tails[position]), count: 300)
                for place in places { vocabulary[Int(whole.ids[place])] = Double(whole.logprobs[place]) }
                let ids = Array(top.ids[position * listed..<(position + 1) * listed])
                let classes = try #require(TokenClasses(ids, vocabularySize: 300)).logprobs(vocabulary)
                logprobs += classes.dropLast().map { Float($0) }
                tails.append(Float(classes[listed]))
            }
            return TopTokens(count: listed, ids: top.ids, logprobs: logprobs, tails: tails)
        }
        let method = DistributionMatching(divergence)
        var statistics = BatchStatistics()
        let sequences = prompts.indices.map {
            TrainingSequence(promptIDs: prompts[$0], responseIDs: responses[$0], classIDs: tops[$0].ids)
        }
        _ = trainer.computeGradients(
            sequences,
            pulls: { index, evaluation in
                let trajectory = Trajectory(
                    id: RolloutID(group: 1, sample: UInt32(index)), kind: .train, teacher: "t",
                    promptIDs: prompts[index], responseIDs: responses[index], behaviourLogprobs: [],
                    policyVersions: [], finishReason: .stop, temperature: 1)
                return method.pulls(
                    of: ScoredTrajectory(trajectory: trajectory, teacherLogprobs: [], top: tops[index]),
                    current: evaluation.classes, tokenCount: count, statistics: &statistics)
            }
        ) { _, evaluation in [Float](repeating: 0, count: evaluation.logprobs.count) }
        return Result(gradient: trainer.gradients.flat.floats(), statistics: statistics)
    }

    /// Lists that are made before, by asking the student's weights, give the same.
    @Test(arguments: divergences) func theListIsTheStudents(divergence: Divergence) throws {
        let trainer = try Self.trainer()
        let sequences = try Self.sequences(try Self.grades(Self.teacher, .hidden))
        let found = Self.compute(divergence, .student(5), sequences, trainer)
        let before = try Self.computeBefore(divergence, count: 5, trainer)
        let value = try #require(found.statistics.divergence), wanted = try #require(before.statistics.divergence)
        #expect(value > 0.001 && abs(value - wanted) < 1e-5 * max(1, wanted), "\(value) and \(wanted)")
        #expect(found.largest > 1e-3 && found.distance(to: before) < 1e-5 * max(1, found.largest))
        let tail = try #require(found.statistics.tail), other = try #require(found.statistics.teacherTail)
        #expect(abs(tail - (before.statistics.tail ?? 0)) < 1e-5 && other > 0 && other < 1)
        #expect(found.statistics.teacherEntropy != nil && found.statistics.teacherChoice != nil)
    }

    /// With more tokens there is more to tell apart: student's, union, all; and with all listed it is the whole vocabulary.
    @Test(arguments: divergences, [Float(1), 0.7])
    func theWholeVocabularyIsTheLimit(divergence: Divergence, temperature: Float) throws {
        let trainer = try Self.trainer()
        let sequences = try Self.sequences(try Self.grades(Self.teacher, .hidden), temperature: temperature)
        let listings: [TokenListing] = [.student(5), .union(5), .union(40), .student(300)]
        let values: [Double] = try listings.map { listing in
            try #require(Self.compute(divergence, listing, sequences, trainer).statistics.divergence)
        }
        #expect(values == values.sorted() && values[0] < values[1] && values[2] < values[3], "\(values)")
        let all = Self.compute(divergence, .union(1000), sequences, trainer)
        let whole = Self.compute(.reverseKL, nil, sequences, trainer)
        guard divergence == .reverseKL else { return }
        #expect(abs((all.statistics.divergence ?? 0) - (whole.statistics.divergence ?? 1)) < 1e-5)
        #expect(all.largest > 1e-3 && all.distance(to: whole) < 1e-5 * max(1, all.largest))
        #expect(all.statistics.tail == 0 && whole.statistics.tail == nil)
        #expect(all.statistics.teacherEntropy == whole.statistics.teacherEntropy)
    }

    /// The slope of the divergence along the gradient is the gradient's norm, by differences of the divergence itself.
    @Test(arguments: divergences, listings) func gradientsAreSlopes(divergence: Divergence, listing: TokenListing)
        throws
    {
        let trainer = try Self.trainer()
        let sequences = try Self.sequences(try Self.grades(Self.teacher, .hidden))
        let direction = Self.compute(divergence, listing, sequences, trainer).gradient
        let original = trainer.masters.flat.floats()
        let norm = direction.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        // So small that no token enters a list or leaves it.
        let width = 2e-4 / norm
        func meanAt(_ offset: Double) -> Double {
            for index in original.indices {
                trainer.masters.flat.f32[index] = Float(
                    Double(original[index]) + offset * Double(direction[index]) / norm)
            }
            trainer.repack()
            return Self.compute(divergence, listing, sequences, trainer).statistics.divergence ?? .nan
        }
        func quotient(_ width: Double) -> Double { (meanAt(width) - meanAt(-width)) / (2 * width) }
        let slope = (4 * quotient(width / 2) - quotient(width)) / 3
        #expect(norm > 1e-2 && abs(slope - norm) < 0.02 * norm, "\(slope) and \(norm)")
    }

    /// A teacher that is the student leaves nothing to learn, to the last bit, in either precision.
    @Test(arguments: listings, ElementType.allCases)
    func aTeacherLikeTheStudentTeachesNothing(listing: TokenListing, type: ElementType) throws {
        let trainer = try Self.trainer(teacher: Self.student, type)
        let sequences = try Self.sequences(try Self.grades(Self.student, .hidden, type))
        let same = Self.compute(.jensenShannon(beta: 0.5), listing, sequences, trainer)
        #expect(same.largest == 0 && same.statistics.divergence == 0 && same.statistics.loss == 0)
        #expect(same.statistics.tail == same.statistics.teacherTail && (same.statistics.tail ?? 0) > 0)
    }

    /// A batch of drawn and given responses has the sum of their gradients, whatever stands beside what.
    @Test func drawnAndGivenResponsesAddUp() throws {
        let trainer = try Self.trainer()
        let drawn = Self.prompts.indices.map {
            TrainingSequence(promptIDs: Self.prompts[$0], responseIDs: Self.responses[$0], reading: .drawn)
        }
        let given = try #require(
            GivenResponses(
                [SupervisedExample(promptIDs: [5, 9, 2], responseIDs: [8, 8, 1])], coefficient: 0.5))
        let text = given.examples.map { TrainingSequence($0) }
        func run(_ sequences: [TrainingSequence]) -> ([Float], [ResponseEvaluation]) {
            var statistics = BatchStatistics()
            let evaluations = trainer.computeGradients(sequences) { index, evaluation in
                sequences[index].reading == .drawn
                    ? [Float](repeating: -0.1, count: evaluation.logprobs.count)
                    : given.gradient(current: evaluation.logprobs, statistics: &statistics)
            }
            return (trainer.gradients.flat.floats(), evaluations)
        }
        let (both, evaluations) = run(drawn + text), (one, first) = run(drawn), (other, second) = run(text)
        #expect(evaluations == first + second)
        let largest = both.map(abs).max() ?? 0
        #expect(largest > 1e-2)
        let worst = both.indices.map { abs(both[$0] - (one[$0] + other[$0])) }.max() ?? 1
        #expect(worst < 1e-5 * max(1, largest), "\(worst)")
    }

    /// Threads change no bit; parts of a batch and memory for logits none of the divergence.
    @Test(arguments: listings) func bitsDependOnTheBatchAlone(listing: TokenListing) throws {
        let sequences = try Self.sequences(try Self.grades(Self.teacher, .hidden))
        func run(budget: Int, threads: Int, keeps: Bool = true) throws -> Result {
            let trainer = try Self.trainer(budget: budget, threads: threads)
            if !keeps { trainer.mostLogitRows = 0 }
            return Self.compute(.reverseKL, listing, sequences, trainer)
        }
        let one = try run(budget: 48, threads: 1)
        #expect(try one == run(budget: 48, threads: 2))
        for other in [try run(budget: 6, threads: 2), try run(budget: 48, threads: 2, keeps: false)] {
            #expect(one.statistics == other.statistics && one.distance(to: other) < 1e-5)
        }
    }
}

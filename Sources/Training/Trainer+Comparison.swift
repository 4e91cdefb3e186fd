import Compute
import Transformers

/// What whole distributions are compared by, and what each position weighs in the loss.
package struct TeacherComparison: Sendable, Equatable {
    package var divergence: HeadDivergence
    package var weight: Float
    /// The tokens that are classes of their own; nil: all are. With a listing it is the caller who compares the classes.
    package var listing: HeadListing?

    package init(_ divergence: HeadDivergence, weight: Float, listing: HeadListing? = nil) {
        self.divergence = divergence
        self.weight = weight
        self.listing = listing
    }
}

/// The tokens of a position that are classes of their own beside all others together: the most probable ones of the
/// weights being trained.
package struct HeadListing: Sendable, Equatable {
    /// At least 1; of a smaller vocabulary all.
    package var count: Int
    /// Whether so many of the teacher's most probable tokens are listed too.
    package var hasTeachers: Bool

    package init(count: Int, hasTeachers: Bool) {
        self.count = count
        self.hasTeachers = hasTeachers
    }
}

/// Log-probabilities of the classes of some positions under student and teacher, position by position, the tail's last.
package struct ListedClasses: Sendable, Equatable {
    /// The classes of each position.
    package let widths: [Int]
    package let student: [Float]
    package let teacher: [Float]
}

/// What the comparison with a teacher's whole distributions finds at the tokens of one response.
package struct ResponseComparison: Sendable, Equatable {
    /// The divergence at each of them, in nats; none with a listing.
    package var divergences: [Double] = []
    /// The entropy of the teacher's distribution at each, in nats.
    package var teacherEntropies: [Float] = []
    /// Whether the teacher finds no token more probable than the response's.
    package var teachersChoices: [Bool] = []

    package init() {}

    fileprivate func rows(_ range: Range<Int>) -> ResponseComparison {
        var part = ResponseComparison()
        part.divergences = divergences.isEmpty ? [] : Array(divergences[range])
        part.teacherEntropies = Array(teacherEntropies[range])
        part.teachersChoices = Array(teachersChoices[range])
        return part
    }
}

/// Some head rows of a batch, after the forward pass.
struct HeadPart {
    var batch: SharedPrefixBatch
    /// Which of the batch's head rows they are; everything else has one element, or row, of each.
    var rows: Range<Int>
    var input: Tensor
    var inverseTemperatures: [Float]
    /// Of the response tokens.
    var logprobs: [Float]
    var logSumExp: [Float]
    /// dLoss/d(log-probability) of each response token beside the divergence.
    var coefficient: [Float]
}

extension Trainer {
    /// Compares the student's distributions with those that its teachers' heads make of the hidden states that sequences
    /// have, and computes the gradient of the head: some rows at a time, whose logits are kept meanwhile.
    /// - Parameter kept: the student's logits of all rows; nil: computed again.
    func runComparison(
        _ comparison: TeacherComparison, _ part: HeadPart, of sequences: ArraySlice<TrainingSequence>,
        logits kept: Tensor?, accumulate: Bool, listedPulls: ((_ classes: ListedClasses) -> [Float])?,
        compared: ((_ index: Int, _ found: ResponseComparison) -> Void)?
    ) {
        let teachers = sequences.flatMap { repeatElement($0.teacher?.label, count: $0.tokens.predictedCount) }
        let states = sequences.flatMap { $0.teacher?.bytes ?? [] }
        var stateOffset = 0
        let blocks = Self.blocks(of: teachers, most: kept == nil ? max(mostLogitRows, 1) : .max)
        var found = ResponseComparison()
        for block in blocks {
            let rows = part.rows.lowerBound + block.lowerBound..<part.rows.lowerBound + block.upperBound
            let input = part.input.rows(block), targets = Array(part.batch.targets[rows])
            let inverse = Array(part.inverseTemperatures[block]), lse = Array(part.logSumExp[block])
            var student = blocks.count == 1 ? kept : nil
            var (logprobs, again) = ([Float](), [Float]())
            if student == nil {
                let own = logits.tensor(rows: block.count)
                context.headLogprobs(
                    input, head: transformer.weights.head, rule: transformer.headRule, targets: targets,
                    inverseTemperature: inverse, logprobs: &logprobs, lse: &again, keeping: own)
                student = own
            }
            var result: HeadComparison?, listed: HeadClassGradient?
            if let teacher = teachers[block.lowerBound], let head = teacherHeads[teacher], let student {
                let theirs = teacherLogits.tensor(rows: block.count)
                let input = context.tensor(
                    of: states[stateOffset...], rows: block.count, columns: head.matrix.inputs, type: head.matrix.type)
                stateOffset += input.byteCount
                var (entropies, best) = ([Float](), [Float]())
                context.headLogprobs(
                    input, head: head.matrix, rule: head.rule, targets: targets,
                    inverseTemperature: [Float](repeating: 1, count: block.count), logprobs: &logprobs, lse: &again,
                    entropy: &entropies, best: &best, keeping: theirs)
                found.teacherEntropies += entropies
                found.teachersChoices += zip(logprobs, best).map { $0 >= $1 }
                if let listing = comparison.listing {
                    let classes = listedClasses(
                        listing, student: student, logSumExp: lse, teacher: theirs, teacherLogSumExp: again, head)
                    listed = HeadClassGradient(
                        classes.own, pulls: listedPulls?(classes.both) ?? classes.both.student.map { _ in 0 },
                        targetLogprobs: Array(part.logprobs[block]))
                } else {
                    result = HeadComparison(
                        comparison.divergence, student: student, logSumExp: lse, teacher: theirs,
                        teacherLogSumExp: again, head: transformer.weights.head, in: context)
                    result?.weights = [Float](repeating: comparison.weight, count: block.count)
                    found.divergences += result?.values ?? []
                }
            } else {
                // Of rows with which nothing is compared nothing is told.
                if comparison.listing == nil { found.divergences += [Double](repeating: 0, count: block.count) }
                found.teacherEntropies += [Float](repeating: 0, count: block.count)
                found.teachersChoices += [Bool](repeating: false, count: block.count)
            }
            backward.runHead(
                part.batch, part: rows, headInput: input, inverseTemperature: inverse, logSumExp: lse,
                coefficient: Array(part.coefficient[block]), logits: student, classes: listed,
                comparison: result,
                accumulate: accumulate || block.lowerBound > 0)
        }
        var row = 0
        for (index, sequence) in zip(sequences.indices, sequences) {
            let own = row..<row + sequence.tokens.predictedCount
            if sequence.teacher != nil { compared?(index, found.rows(own)) }
            row = own.upperBound
        }
    }

    /// The classes of some rows, from the logits of student and teacher.
    private func listedClasses(
        _ listing: HeadListing, student: Tensor, logSumExp: [Float], teacher: Tensor, teacherLogSumExp: [Float],
        _ teacherHead: TeacherHead
    ) -> (own: HeadClasses, both: ListedClasses) {
        let head = transformer.weights.head, count = min(listing.count, head.outputs)
        var rows = context.topTokens(of: student, head: head, count: count)
        if listing.hasTeachers {
            let theirs = context.topTokens(of: teacher, head: teacherHead.matrix, count: count)
            rows = zip(rows, theirs).map { Set($0).union($1).sorted() }
        }
        var own = HeadClasses(rows: rows), theirs = own
        context.classLogprobs(of: student, head: head, logSumExp: logSumExp, classes: &own)
        context.classLogprobs(
            of: teacher, head: teacherHead.matrix, logSumExp: teacherLogSumExp, classes: &theirs)
        return (
            own, ListedClasses(widths: rows.map { $0.count + 1 }, student: own.logprobs, teacher: theirs.logprobs)
        )
    }

    /// Rows of one teacher each, at most so many.
    private static func blocks(of teachers: [String?], most: Int) -> [Range<Int>] {
        var blocks: [Range<Int>] = []
        for row in teachers.indices {
            if let last = blocks.last, last.count < most, teachers[last.lowerBound] == teachers[row] {
                blocks[blocks.count - 1] = last.lowerBound..<row + 1
            } else {
                blocks.append(row..<row + 1)
            }
        }
        return blocks
    }
}

import Compute
import Transformers

/// What whole distributions are compared by, and what each position weighs in the loss.
package struct TeacherComparison: Sendable, Equatable {
    package var divergence: HeadDivergence
    package var weight: Float

    package init(_ divergence: HeadDivergence, weight: Float) {
        self.divergence = divergence
        self.weight = weight
    }
}

/// Some head rows of a batch, after the forward pass.
struct HeadPart {
    var batch: SharedPrefixBatch
    /// Which of the batch's head rows they are; everything else has one element, or row, of each.
    var rows: Range<Int>
    var input: Tensor
    var inverseTemperatures: [Float]
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
        logits kept: Tensor?, accumulate: Bool, compared: ((_ index: Int, _ divergences: [Double]) -> Void)?
    ) {
        let teachers = sequences.flatMap { repeatElement($0.teacher?.label, count: $0.tokens.predictedCount) }
        let states = sequences.flatMap { $0.teacher?.bytes ?? [] }
        var stateOffset = 0
        let blocks = Self.blocks(of: teachers, most: kept == nil ? max(mostLogitRows, 1) : .max)
        var divergences: [Double] = []
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
            var result: HeadComparison?
            if let teacher = teachers[block.lowerBound], let head = teacherHeads[teacher], let student {
                let theirs = teacherLogits.tensor(rows: block.count)
                let input = context.tensor(
                    of: states[stateOffset...], rows: block.count, columns: head.matrix.inputs, type: head.matrix.type)
                stateOffset += input.byteCount
                context.headLogprobs(
                    input, head: head.matrix, rule: head.rule, targets: targets,
                    inverseTemperature: [Float](repeating: 1, count: block.count), logprobs: &logprobs, lse: &again,
                    keeping: theirs)
                result = HeadComparison(
                    comparison.divergence, student: student, logSumExp: lse, teacher: theirs,
                    teacherLogSumExp: again, head: transformer.weights.head, in: context)
                result?.weights = [Float](repeating: comparison.weight, count: block.count)
            }
            divergences += result?.values ?? [Double](repeating: 0, count: block.count)
            backward.runHead(
                part.batch, part: rows, headInput: input, inverseTemperature: inverse, logSumExp: lse,
                coefficient: Array(part.coefficient[block]), logits: student, comparison: result,
                accumulate: accumulate || block.lowerBound > 0)
        }
        var row = 0
        for (index, sequence) in zip(sequences.indices, sequences) {
            let own = row..<row + sequence.tokens.predictedCount
            if sequence.teacher != nil { compared?(index, Array(divergences[own])) }
            row = own.upperBound
        }
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

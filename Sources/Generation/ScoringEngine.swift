import Compute
import Distillation
import Models

/// Teacher-forced log-probabilities of given tokens: one forward pass over packed sequences.
package final class ScoringEngine {
    private let model: LanguageModel
    private let tokenBudget: Int

    /// - Parameter tokenBudget: most tokens of one forward pass; a longer sequence runs alone, in pieces.
    package init(model: LanguageModel, tokenBudget: Int = 1024) {
        self.model = model
        self.tokenBudget = tokenBudget
    }

    /// Log-probabilities of ids[start...] of each sequence given what stands before them, at temperature 1.
    /// - Parameters:
    ///   - sequences: token ids, each at least 1 long and within the vocabulary and context.
    ///   - starts: first scored position of each, at least 1; all 1 when nil.
    ///   - reading: whether what follows them was drawn from a model token by token; nil: where starts are given.
    /// - Returns: for a sequence of n ids, n - start values, in the order given.
    package func score(
        _ sequences: [[Int32]], from starts: [Int]? = nil, reading: SequenceReading? = nil
    ) throws -> [[Float]] {
        try grade(sequences, from: starts, reading: reading).map(\.logprobs)
    }

    /// Grades ids[start...] of each sequence given what stands before them, at temperature 1.
    /// - Parameters:
    ///   - sequences, starts, reading: as of ``score(_:from:reading:)``.
    ///   - request: of every token; ids beyond the model's vocabulary are none.
    /// - Returns: for a sequence of n ids, the grade of n - start tokens, in the order given.
    package func grade(
        _ sequences: [[Int32]], from starts: [Int]? = nil, reading: SequenceReading? = nil,
        _ request: GradeRequest = .sampled
    ) throws -> [Grade] {
        let vocabulary = model.configuration.vocabularySize
        if case .top(let count, let below) = request, count > min(Int(below), vocabulary) {
            throw GenerationError("\(count) tokens are asked for of \(min(Int(below), vocabulary)) that there are")
        }
        let reading = reading ?? (starts == nil ? .text : .drawn)
        for (index, sequence) in sequences.enumerated() { try validate(sequence, index: index) }
        var results: [Grade] = []
        results.reserveCapacity(sequences.count)
        var next = 0
        while next < sequences.count {
            var tokens = sequences[next].count
            var end = next + 1
            while end < sequences.count, tokens + sequences[end].count <= tokenBudget {
                tokens += sequences[end].count
                end += 1
            }
            let firsts = (next..<end).map { max(1, starts?[$0] ?? 1) }
            results.append(contentsOf: gradeBatch(sequences[next..<end], starts: firsts, reading, request))
            next = end
        }
        return results
    }

    private func gradeBatch(
        _ sequences: ArraySlice<[Int32]>, starts: [Int], _ reading: SequenceReading, _ request: GradeRequest
    ) -> [Grade] {
        let pool = model.transformer.pool, longAbove = model.configuration.longRopeAbove
        if sequences.count == 1, let only = sequences.first, only.count > tokenBudget {
            let parts = SequencePart.parts(
                prompt: Array(only.prefix(starts[0])), response: Array(only.dropFirst(starts[0])),
                longAbove: longAbove, reading: reading)
            let pieces = parts.flatMap {
                gradePieces(of: $0.prompt + $0.response, start: $0.prompt.count, isLong: $0.isLong, request)
            }
            return [Grade(joining: pieces, request)]
        }
        let batch = SharedPrefixBatch(
            zip(sequences, starts).map { (Array($0.prefix($1)), Array($0.dropFirst($1))) }, pool: pool,
            longAbove: longAbove, reading: reading)
        defer { batch.releasePages(pool) }
        let x = model.transformer.forward(batch)
        let grade = gradeRows(x, rows: batch.headRows, targets: batch.targets, request)
        var offset = 0
        return zip(sequences, starts).map { sequence, start in
            let count = max(0, sequence.count - start)
            defer { offset += count }
            return grade.part(offset..<offset + count)
        }
    }

    /// A sequence longer than the budget, prefix after prefix through the cache.
    private func gradePieces(
        of sequence: [Int32], start: Int, isLong: Bool, _ request: GradeRequest
    ) -> [Grade] {
        let pool = model.transformer.pool
        let pages = pool.allocate(positions: sequence.count)
        defer { for page in pages { pool.release(page) } }
        var result: [Grade] = []
        var position = 0
        while position < sequence.count {
            let end = min(position + tokenBudget, sequence.count)
            var batch = TokenBatch()
            batch.append(sequence[position..<end], startPosition: position, pages: pages, isLong: isLong)
            let scored = max(start, position + 1)..<max(max(start, position + 1), min(end + 1, sequence.count))
            result.append(
                gradeRows(
                    model.transformer.forward(batch), rows: scored.map { Int32($0 - 1 - position) },
                    targets: scored.map { sequence[$0] }, request))
            position = end
        }
        return result
    }

    private func gradeRows(_ x: Tensor, rows: [Int32], targets: [Int32], _ request: GradeRequest) -> Grade {
        guard !rows.isEmpty else { return Grade(joining: [], request) }
        let input = model.transformer.headInput(x, rows: rows)
        if case .top(let count, let below) = request {
            let (logprobs, classes) = model.context.headTop(
                input, head: model.transformer.weights.head, rule: model.transformer.headRule, targets: targets,
                count: count, below: min(Int(below), model.configuration.vocabularySize))
            return Grade(logprobs: logprobs, top: TopTokens(classes, count: count))
        }
        var logprobs = [Float](repeating: 0, count: rows.count)
        var logSumExp = logprobs
        model.context.headLogprobs(
            input, head: model.transformer.weights.head, rule: model.transformer.headRule, targets: targets,
            inverseTemperature: [Float](repeating: 1, count: rows.count), logprobs: &logprobs, lse: &logSumExp)
        return Grade(logprobs: logprobs)
    }

    private func validate(_ sequence: [Int32], index: Int) throws {
        let vocabulary = Int32(model.configuration.vocabularySize)
        guard !sequence.isEmpty else { throw GenerationError("sequence \(index) is empty; give at least one token id") }
        if let bad = sequence.first(where: { $0 < 0 || $0 >= vocabulary }) {
            throw GenerationError("sequence \(index) holds token id \(bad), outside the vocabulary of \(vocabulary)")
        }
        guard sequence.count <= model.contextLength else {
            throw GenerationError(
                "sequence \(index) has \(sequence.count) tokens, but the model's context is \(model.contextLength)")
        }
    }
}

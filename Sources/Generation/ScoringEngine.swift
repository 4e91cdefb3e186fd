import Compute
import Distillation
import Models
import Tokens
import Transformers

/// Teacher-forced log-probabilities of given tokens: one forward pass over packed sequences.
package final class ScoringEngine {
    private let model: LanguageModel
    private let tokenBudget: Int

    /// - Parameter tokenBudget: most tokens of one forward pass; a longer sequence runs alone, in pieces.
    package init(model: LanguageModel, tokenBudget: Int = 1024) {
        self.model = model
        self.tokenBudget = tokenBudget
    }

    /// Log-probabilities of all ids of each text but the first, at temperature 1.
    ///
    /// They are those of `score(_:reading:)` where each sequence is a prompt of one token and the response to it.
    package func score(_ texts: [[Int32]]) throws -> [[Float]] {
        try score(
            texts.map { TokenSequence(ids: $0, promptCount: min(1, $0.count)) }, reading: .text)
    }

    /// Log-probabilities of the responses' tokens given what stands before them, at temperature 1.
    /// - Parameters:
    ///   - sequences: prompts of at least one token, and responses, which may be empty; within the vocabulary, and
    ///     together within the context.
    ///   - reading: whether the responses were drawn from a model token by token.
    /// - Returns: for each sequence one value a response token.
    package func score(_ sequences: [TokenSequence], reading: SequenceReading = .drawn) throws -> [[Float]] {
        try grade(sequences, reading: reading).map(\.logprobs)
    }

    /// Grades the responses' tokens given what stands before them, at temperature 1.
    /// - Parameters:
    ///   - sequences, reading: as of ``score(_:reading:)``.
    ///   - request: of every token; ids beyond the model's vocabulary are none.
    /// - Returns: the grade of each sequence's response, in the order given.
    package func grade(
        _ sequences: [TokenSequence], reading: SequenceReading = .drawn, _ request: GradeRequest = .sampled
    ) throws -> [Grade] {
        let vocabulary = model.configuration.vocabularySize
        if case .top(let count, let below) = request, count > min(Int(below), vocabulary) {
            throw GenerationError("\(count) tokens are asked for of \(min(Int(below), vocabulary)) that there are")
        }
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
            results.append(contentsOf: gradeBatch(sequences[next..<end], reading, request))
            next = end
        }
        return results
    }

    private func gradeBatch(
        _ sequences: ArraySlice<TokenSequence>, _ reading: SequenceReading, _ request: GradeRequest
    ) -> [Grade] {
        let pool = model.transformer.pool, longAbove = model.configuration.longRopeAbove
        if sequences.count == 1, let only = sequences.first, only.count > tokenBudget {
            let pieces = SequencePart.parts(only, longAbove: longAbove, reading: reading).flatMap {
                gradePieces(of: $0.tokens.ids, start: $0.promptIDs.count, isLong: $0.isLong, request)
            }
            return [Grade(joining: pieces, request)]
        }
        let batch = SharedPrefixBatch(Array(sequences), pool: pool, longAbove: longAbove, reading: reading)
        defer { batch.releasePages(pool) }
        let x = model.transformer.forward(batch)
        let grade = gradeRows(x, rows: batch.headRows, targets: batch.targets, request)
        var offset = 0
        return sequences.map { sequence in
            let count = sequence.responseIDs.count
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
        if request == .hidden {
            let grade = gradeRows(input: input, targets)
            return Grade(logprobs: grade, hidden: HiddenStates(input))
        }
        if case .top(let count, let below) = request {
            let (logprobs, classes) = model.context.headTop(
                input, head: model.transformer.weights.head, rule: model.transformer.headRule, targets: targets,
                count: count, below: min(Int(below), model.configuration.vocabularySize))
            return Grade(logprobs: logprobs, top: TopTokens(classes, count: count))
        }
        return Grade(logprobs: gradeRows(input: input, targets))
    }

    private func gradeRows(input: Tensor, _ targets: [Int32]) -> [Float] {
        var logprobs = [Float](repeating: 0, count: targets.count)
        var logSumExp = logprobs
        model.context.headLogprobs(
            input, head: model.transformer.weights.head, rule: model.transformer.headRule, targets: targets,
            inverseTemperature: [Float](repeating: 1, count: targets.count), logprobs: &logprobs, lse: &logSumExp)
        return logprobs
    }

    private func validate(_ sequence: TokenSequence, index: Int) throws {
        let vocabulary = Int32(model.configuration.vocabularySize)
        guard !sequence.promptIDs.isEmpty else {
            throw GenerationError("sequence \(index) is empty; give at least one token id")
        }
        guard sequence.given.isEmpty else {
            throw GenerationError("sequence \(index) has tokens that are not predicted; grade all of its response")
        }
        let isBad = { (id: Int32) in id < 0 || id >= vocabulary }
        if let bad = sequence.promptIDs.first(where: isBad) ?? sequence.responseIDs.first(where: isBad) {
            throw GenerationError("sequence \(index) holds token id \(bad), outside the vocabulary of \(vocabulary)")
        }
        guard sequence.count <= model.contextLength else {
            throw GenerationError(
                "sequence \(index) has \(sequence.count) tokens, but the model's context is \(model.contextLength)")
        }
    }
}

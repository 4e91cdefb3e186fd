import Engines
import Tokens

/// A batch as passes of all ranks: in each, every rank computes some sequences, one after the other.
package struct TorchBatch: Sendable {
    /// Sequences of one pass, and how many of them each rank has, in order.
    package struct Pass: Sendable, Equatable {
        package var sequences: Range<Int>
        package var rankCounts: [Int32]

        package init(sequences: Range<Int>, rankCounts: [Int32]) {
            self.sequences = sequences
            self.rankCounts = rankCounts
        }
    }

    package let passes: [Pass]

    /// - Parameter tokenBudget: most tokens of a rank in a pass; a longer sequence stands alone.
    package init(tokenCounts: [Int], tokenBudget: Int, ranks: Int) {
        let parts = Self.even(tokenCounts, tokenBudget: tokenBudget, ranks: ranks)
        passes = stride(from: 0, to: parts.count, by: ranks).map { first in
            let mine = parts[first..<min(first + ranks, parts.count)]
            // Every pass is of all ranks: those without work have none of it.
            let idle = [Int32](repeating: 0, count: ranks - mine.count)
            return Pass(
                sequences: mine.first!.lowerBound..<mine.last!.upperBound,
                rankCounts: mine.map { Int32($0.count) } + idle)
        }
    }

    /// Parts of about equal tokens, as many as make full passes; where one would be above the budget, parts that are
    /// filled up to it.
    private static func even(_ counts: [Int], tokenBudget: Int, ranks: Int) -> [Range<Int>] {
        let total = counts.reduce(0, +)
        guard total > 0 else { return [] }
        let passes = (total + tokenBudget * ranks - 1) / (tokenBudget * ranks)
        let share = Double(total) / Double(passes * ranks)
        var parts: [Range<Int>] = [], start = 0, tokens = 0, sum = 0
        var isWithinBudget = true
        for (index, count) in counts.enumerated() {
            let middle = Double(sum) + Double(count) / 2
            if index > start, middle > Double(parts.count + 1) * share {
                parts.append(start..<index)
                (start, tokens) = (index, 0)
            }
            tokens += count
            sum += count
            if tokens > tokenBudget, index > start { isWithinBudget = false }
        }
        parts.append(start..<counts.count)
        return isWithinBudget && parts.count <= passes * ranks
            ? parts : Packing.microBatches(tokenCounts: counts, tokenBudget: tokenBudget)
    }
}

extension TorchMessage {
    /// A request about some sequences.
    init(_ verb: String, _ sequences: ArraySlice<TrainingBatch.Sequence>, rankCounts: [Int32]) {
        self.init(
            verb,
            integers: [
                ("tokens", sequences.flatMap(\.tokens.ids)),
                ("counts", sequences.map { Int32($0.tokens.count) }),
                ("prompt_counts", sequences.map { Int32($0.promptIDs.count) }), ("rank_counts", rankCounts),
            ], floats: [("temperatures", sequences.map(\.temperature))])
    }
}

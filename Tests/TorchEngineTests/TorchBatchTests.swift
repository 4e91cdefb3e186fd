import Testing
import TorchEngine

@Suite struct TorchBatchTests {
    @Test func passesCoverTheBatchInOrderWithinTheBudget() {
        for ranks in [1, 2, 3, 8] {
            for budget in [1, 10, 37, 1000] {
                for counts in [[], [5], [3, 4, 5, 6, 7, 8], [100, 1, 1, 1, 100], Array(repeating: 7, count: 40)] {
                    let batch = TorchBatch(tokenCounts: counts, tokenBudget: budget, ranks: ranks)
                    #expect(batch.passes.flatMap { Array($0.sequences) } == Array(counts.indices))
                    for pass in batch.passes {
                        #expect(pass.rankCounts.count == ranks)
                        #expect(pass.rankCounts.reduce(0, +) == pass.sequences.count)
                        var place = pass.sequences.lowerBound
                        for count in pass.rankCounts.map(Int.init) {
                            let tokens = counts[place..<place + count].reduce(0, +)
                            #expect(count <= 1 || tokens <= budget)
                            place += count
                        }
                    }
                }
            }
        }
    }

    @Test func ranksShareASmallBatch() {
        let batch = TorchBatch(tokenCounts: [10, 10, 10, 10], tokenBudget: 1000, ranks: 2)
        #expect(batch.passes == [.init(sequences: 0..<4, rankCounts: [2, 2])])
    }
}

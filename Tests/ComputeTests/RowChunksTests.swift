import Compute
import Testing

@Suite struct RowChunksTests {
    @Test(arguments: [
        (0, []), (1, [1]), (64, [64]), (65, [64, 1]), (255, [64, 64, 64, 63]), (256, [256]), (319, [319]),
        (320, [256, 64]), (511, [256, 64, 64, 64, 63]), (512, [256, 256]), (575, [256, 319]), (576, [256, 256, 64]),
        (1000, [256, 256, 256, 64, 64, 64, 40]), (1024, [256, 256, 256, 256]),
    ])
    func sizes(rows: Int, expected: [Int]) {
        #expect(RowChunks(rows: rows).map(\.count) == expected)
    }

    @Test func coverEveryRowOnceInOrder() {
        for rows in 0..<1400 {
            let chunks = RowChunks(rows: rows)
            #expect(chunks.flatMap { $0 } == Array(0..<rows))
            #expect(chunks.prefix(chunks.longCount).allSatisfy { (256...319).contains($0.count) })
            #expect(chunks.dropFirst(chunks.longCount).allSatisfy { (1...64).contains($0.count) })
        }
    }
}

import Distillation
import Testing

@Suite struct PolicyVersionsTests {
    @Test(arguments: [[], [4], [4, 4, 4], [1, 1, 2, 1, 7, 7], [.max, 0]] as [[UInt64]])
    func holdsOneVersionAToken(_ versions: [UInt64]) {
        let runs = PolicyVersions(versions)
        #expect(Array(runs) == versions)
        #expect(runs.count == versions.count)
        #expect(runs.newest == versions.max() && runs.last == versions.last)
        #expect(zip(runs.runs, runs.runs.dropFirst()).allSatisfy { $0.version != $1.version })
    }

    /// However they were put together, equal versions are equal.
    @Test func equalVersionsHaveEqualRuns() {
        var versions = PolicyVersions(repeating: 3, count: 2)
        versions.append(5, count: 0)
        versions.append(3)
        versions.append(4, count: 2)
        #expect(versions == [3, 3, 3, 4, 4])
        #expect(versions.runs == [.init(version: 3, count: 3), .init(version: 4, count: 2)])
    }

    @Test func finiteMeansEveryNumber() {
        let numbers: [Float] = [0, -0.0, 1, -.greatestFiniteMagnitude, .leastNonzeroMagnitude, -17.5, 3, 4, 5]
        #expect(numbers.areFinite && [Float]().areFinite)
        for odd in [Float.nan, .signalingNaN, -.nan, .infinity, -.infinity] {
            for index in numbers.indices {
                var mixed = numbers
                mixed[index] = odd
                #expect(!mixed.areFinite, "\(odd) at \(index)")
            }
        }
    }

    @Test(arguments: [1, 3, 49152, .max] as [Int32])
    func tokensAreInsideTheVocabulary(size: Int32) {
        let ids = [Int32](repeating: 0, count: 20) + [size - 1]
        #expect(ids.areTokens(vocabularySize: size) && [Int32]().areTokens(vocabularySize: size))
        for bad: Int32 in [-1, .min, .max, size] {
            for index in ids.indices {
                var mixed = ids
                mixed[index] = bad
                #expect(!mixed.areTokens(vocabularySize: size), "\(bad) at \(index)")
            }
        }
        #expect(![Int32.max].areTokens(vocabularySize: .max) && ![Int32.min].areTokens(vocabularySize: size))
    }
}

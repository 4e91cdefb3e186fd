import Foundation
import FuzzTargets
import Testing

/// What 'make fuzz' starts from and a little of what it does, without libFuzzer: so that targets and corpus go on
/// fitting what they try.
@Suite(.serialized) struct FuzzTests {
    private static let corpus = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Fuzz/Corpus").standardized

    private static let mutated: UInt64 = 400

    private static func entries(of target: FuzzTarget) throws -> [[UInt8]] {
        let folder = corpus.appending(path: target.name)
        return try FileManager.default.contentsOfDirectory(atPath: folder.path()).sorted().map {
            Array(try Data(contentsOf: folder.appending(path: $0)))
        }
    }

    @Test func everyFolderOfTheCorpusHasItsTarget() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: Self.corpus.path())
        #expect(folders.sorted() == FuzzTarget.all.map(\.name).sorted())
    }

    @Test(arguments: FuzzTarget.all) func theCorpusKeepsEveryPromise(_ target: FuzzTarget) throws {
        let entries = try Self.entries(of: target)
        #expect(!entries.isEmpty)
        for entry in entries { try Self.run(target, on: entry) }
    }

    @Test(arguments: Array(zip(FuzzTarget.all, 0...)))
    func foreignBytesKeepEveryPromise(_ target: FuzzTarget, stream: UInt64) throws {
        let inputs = FuzzInputs(corpus: try Self.entries(of: target), stream: stream)
        for index in 0..<Self.mutated { try Self.run(target, on: inputs.input(index)) }
    }

    private static func run(_ target: FuzzTarget, on input: [UInt8]) throws {
        do {
            try target.run(input)
        } catch {
            Issue.record("\(target.name): \(error); input in base64: \(Data(input).base64EncodedString())")
        }
    }
}

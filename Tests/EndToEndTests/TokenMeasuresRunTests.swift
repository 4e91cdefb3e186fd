import Foundation
import JSON
import TestSupport
import Testing

/// What a whole run records of single tokens.
@Suite struct TokenMeasuresRunTests {
    private func numbers(_ line: JSONValue, _ name: String) -> [Double]? { line[name]?.array?.compactMap(\.double) }

    @Test func responsesOfTrainingHaveEntropyRatioAndAdvantage() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let end = try await Binary.run(["run", "run.yaml"], in: folder)
            #expect(end.status == 0, "\(end.errors)")
            let run = "\(folder)/runs/tiny"
            func lines(_ name: String) throws -> [JSONValue] {
                try String(contentsOfFile: "\(run)/\(name)", encoding: .utf8).split(separator: "\n").map {
                    try JSONValue.parse(String($0))
                }
            }
            let samples = try lines("samples.jsonl"), metrics = try lines("metrics.jsonl")
            for step in 1...4 {
                let trained = samples.filter { $0["kind"]?.string == "train" && $0["step"]?.int == step }
                #expect(trained.count == 4)
                for line in trained {
                    let count = try #require(line["ids"]?.array?.count)
                    let b = try #require(numbers(line, "student_logprobs"))
                    let t = try #require(numbers(line, "teacher_logprobs"))
                    // Nothing is stale, and each token answers for itself.
                    #expect(numbers(line, "ratios") == Array(repeating: 1, count: count))
                    let advantages = try #require(numbers(line, "advantages"))
                    #expect(advantages.count == count)
                    for index in 0..<count { #expect(abs(advantages[index] - (t[index] - b[index])) < 1e-4) }
                }
                // All of the batch is recorded here: its mean is that of the step's line.
                let entropies = trained.flatMap { numbers($0, "entropies") ?? [] }
                let mean = try #require(metrics.first { $0["step"]?.int == step }?["entropy"]?.double)
                #expect(entropies.count == trained.reduce(0) { $0 + ($1["ids"]?.array?.count ?? 0) })
                #expect(abs(entropies.reduce(0, +) / Double(entropies.count) - mean) < 1e-4)
            }
            let heldout = samples.filter { $0["kind"]?.string == "evaluation" }
            #expect(!heldout.isEmpty && heldout.allSatisfy { $0["entropies"] == nil && $0["ratios"] == nil })
            // A page has them.
            #expect(try await Binary.run(["report", "runs/tiny", "-o", "page.html"], in: folder).status == 0)
            let page = try String(contentsOfFile: "\(folder)/page.html", encoding: .utf8)
            #expect(page.contains("\"h\": [") && page.contains("\"r\": [1.0,") && page.contains("\"a\": ["))
        }
    }
}

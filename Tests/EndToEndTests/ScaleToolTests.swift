import Foundation
import TestSupport
import Testing

/// `opd-scale`, by small measurements: that they can be made, not what they give.
@Suite struct ScaleToolTests {
    /// Built with the tests, beside them.
    private static let program = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
        .appending(path: "opd-scale").path

    /// The JSON objects that it prints.
    private func figures(_ arguments: [String]) async throws -> [[String: Any]] {
        try await withTemporaryFolder { folder in
            let result = try await Binary.run(arguments, of: Self.program, in: folder)
            try #require(result.status == 0, "\(result.errors)")
            return try result.lines.map {
                try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
            }
        }
    }

    @Test func aSimulatedRunIsMeasured() async throws {
        let rows = try await figures([
            "exchange", "--members", "8,16", "--scorers", "2", "--repetitions", "1", "--faults",
        ])
        #expect(rows.map { $0["workers"] as? Double } == [8, 16])
        // Two steps of 4 responses a worker.
        #expect(rows.map { $0["trajectories"] as? Double } == [64, 128])
        #expect(rows.allSatisfy { ($0["message_us"] as? Double ?? 0) > 0 })
        let memory = try await figures(["memory", "--members", "100"])
        #expect(memory.count == 1 && (memory[0]["learner_bytes_a_member"] as? Double ?? 0) > 0)
    }

    @Test func realConnectionsAreMeasured() async throws {
        let rows = try await figures(["connections", "--count", "6", "--processes", "2", "--seconds", "2"])
        let phases = ["joining", "working", "joining again", "working", "leaving"]
        #expect(rows.map { $0["phase"] as? String } == phases)
        #expect(rows.first?["welcomed"] as? Double == 6 && rows.last?["members"] as? Double == 0)
        #expect((rows.dropFirst().first?["trajectories"] as? Double ?? 0) > 0)
    }
}

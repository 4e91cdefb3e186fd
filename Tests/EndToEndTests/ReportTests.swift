import Foundation
import JSON
import TestSupport
import Testing

/// `opd report` beside `opd inspect`, on a folder as a run leaves it.
@Suite struct ReportTests {
    private static let metrics = """
        {"step": 0, "version": 0, "tokens_generated": 0, "tokens_trained": 0, "tokens_discarded": 0, "tokens_in_flight": 0, "step_s": 0.0, "eval_teacher_kl": 0.34500581709920347, "eval_responses": 8, "eval_tokens": 80, "eval_pass_at_1": 0.5078125}
        {"step": 1, "version": 1, "teacher_kl": 0.7791343566017284, "grad_norm": 2.5, "batch_tokens": 64, "tokens_generated": 80, "tokens_trained": 64, "tokens_discarded": 6, "tokens_in_flight": 10, "step_s": 0.25}
        {"step": 2, "version": 2, "teacher_kl": 0.12345678, "grad_norm": 1.5, "batch_tokens": 60, "tokens_generated": 140, "tokens_trained": 124, "tokens_discarded": 6, "tokens_in_flight": 10, "step_s": 0.25, "eval_teacher_kl": 0.0625, "eval_responses": 8, "eval_tokens": 82, "eval_pass_at_1": 1.0}

        """

    private func writeRun(in folder: String) throws {
        let run = "\(folder)/runs/tiny"
        for name in ["logs", "checkpoints/step-000002"] {
            try FileManager.default.createDirectory(atPath: "\(run)/\(name)", withIntermediateDirectories: true)
        }
        try write(Self.metrics, "\(run)/metrics.jsonl")
        try write(
            "name: tiny\nstudent: { model: s }\nteachers: { default: { model: t } }\ndata: { prompts: p.jsonl }\n"
                + "training: { steps: 2 }\n", "\(run)/config.yaml")
    }

    @Test func thePageAndInspectAgree() async throws {
        try await withTemporaryFolder { folder in
            try writeRun(in: folder)
            let inspected = try await Binary.run(["inspect", "runs/tiny"], in: folder)
            let reported = try await Binary.run(["report", "runs/tiny", "-o", "page.html"], in: folder)
            #expect(inspected.status == 0 && reported.status == 0, "\(reported.errors)")
            #expect(reported.output.hasPrefix("page.html: "))
            let page = try String(contentsOfFile: "\(folder)/page.html", encoding: .utf8)
            let start = try #require(page.range(of: "id=\"data\">")).upperBound
            let end = try #require(page.range(of: "</script>", range: start..<page.endIndex)).lowerBound
            let run = try #require(try JSONValue.parse(String(page[start..<end]))["runs"]?.array?.first)
            // Line by line what inspect says.
            let facts = (run["facts"]?.array ?? []).map { ($0.array?[0].string ?? "", $0.array?[1].string ?? "") }
            let lines = inspected.lines.map { line in
                let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
                return (parts[0], parts.count > 1 ? parts[1] : "")
            }
            #expect(facts.map(\.0) == lines.map(\.0) && facts.map(\.1) == lines.map(\.1), "\(inspected.output)")
            let said = Dictionary(lines) { first, _ in first }
            #expect(said["steps"] == "2 of 2" && said["training KL"] == "0.1235")
            #expect(said["held-out KL"] == "0.3450 at step 0, 0.0625 at step 2")
            // And the curves end where it says that the run does.
            #expect(run["series"]?["teacher_kl"]?["mean"]?.array?.last?.double == 0.12345678)
            #expect(run["evaluations"]?["eval_pass_at_1"]?.array?.compactMap(\.double) == [0.5078125, 1])
            #expect(run["last"]?["teacher_kl"]?["last"]?["text"]?.string == said["training KL"])
            #expect(run["ledger"]?["trained"]?.int == 124)
        }
    }

    @Test func whatIsNoRunIsRefusedInOneLine() async throws {
        try await withTemporaryFolder { folder in
            try writeRun(in: folder)
            let page = try await Binary.run(["report", "runs/tiny", "--charts", "nowhere"], in: folder)
            #expect(page.status == 0 && page.errorLines.count == 1 && page.errors.contains("tables, no curves"))
            #expect(FileManager.default.fileExists(atPath: "\(folder)/runs/tiny/report.html"))
            for arguments in [["report", "runs"], ["report"], ["report", "runs/tiny", "-o", "runs"]] {
                let refused = try await Binary.run(arguments, in: folder)
                #expect(refused.status == 2 && refused.errorLines.count == 1, "\(refused.errors)")
            }
            let unwritable = try await Binary.run(["report", "runs/tiny", "-o", "none/page.html"], in: folder)
            #expect(unwritable.status == 1 && unwritable.errorLines.count == 1, "\(unwritable.errors)")
        }
    }
}

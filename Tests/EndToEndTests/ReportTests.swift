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

    private static let browser = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// Where a browser is installed: the page draws its numbers, and runs nothing of the run.
    @Test(.enabled(if: browser != nil)) func aBrowserShowsTheNumbersAndNothingElse() async throws {
        try await withTemporaryFolder { folder in
            try writeRun(in: folder)
            let attack =
                "</script><script>document.title='run over'</script><img src=x onerror=document.title='run over'>"
            let text = JSONText.string(attack)
            try write(
                """
                {"step": 1, "id": "0.0", "kind": "evaluation", "teacher": \(text), "prompt": \(text), "response": \(text), \
                "finish_reason": \(text), "ids": [1], "student_logprobs": [-0.25], "teacher_logprobs": [-1.5], \
                "versions": [0], "ends": [\(attack.utf8.count)], "tags": [\(text)]}

                """, "\(folder)/runs/tiny/samples.jsonl")
            #expect(try await Binary.run(["report", "runs/tiny", "-o", "page.html"], in: folder).status == 0)
            for (view, numbers) in [
                ("overview", ["2 of 2", "0.0625", "0.3450 at step 0", "124 trained", "Divergence from the teacher"]),
                ("tokens", ["1.2500", "held out", "1 of 1 responses"]), ("compare", ["several folders"]),
            ] {
                let shown = try dom(of: "file://\(folder)/page.html#\(view)", in: folder)
                for number in numbers { #expect(shown.page.contains(number), "\(view): \(number)") }
                #expect(!shown.page.contains("<img") && shown.page.contains("<title>tiny</title>"))
                #expect(!shown.errors.contains("CONSOLE"), "\(shown.errors)")
            }
        }
    }

    /// What a page has become once its scripts have run, and what the browser logged.
    private func dom(of address: String, in folder: String) throws -> (page: String, errors: String) {
        let process = Process()
        process.executableURL = URL(filePath: Self.browser ?? "")
        process.arguments = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir=\(folder)/browser",
            "--enable-logging=stderr",
            "--virtual-time-budget=3000", "--dump-dom", address,
        ]
        for name in ["dom", "log"] { try write("", "\(folder)/\(name)") }
        process.standardOutput = FileHandle(forWritingAtPath: "\(folder)/dom")
        process.standardError = FileHandle(forWritingAtPath: "\(folder)/log")
        try process.run()
        process.waitUntilExit()
        return (
            try String(contentsOfFile: "\(folder)/dom", encoding: .utf8),
            try String(contentsOfFile: "\(folder)/log", encoding: .utf8)
        )
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
            // Without dygraphs there is a warning before.
            #expect(unwritable.errorLines.count { $0.hasPrefix("error: ") } == 1, "\(unwritable.errors)")
            #expect(unwritable.status == 1)
        }
    }
}

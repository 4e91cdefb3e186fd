import Foundation
import Models
import TestSupport
import Testing

/// The command line's contract, with the real binary.
@Suite struct CommandLineTests {
    private func json(_ text: String) throws -> Any {
        try JSONSerialization.jsonObject(with: Data(text.utf8), options: [.fragmentsAllowed])
    }

    @Test func versionAndHelpGoToStandardOutput() async throws {
        try await withTemporaryFolder { folder in
            let version = try await Binary.run(["--version"], in: folder)
            #expect(version.status == 0 && version.lines.count == 1 && version.output.hasPrefix("opd "))
            let help = try await Binary.run(["--help"], in: folder)
            #expect(help.status == 0 && help.output.contains("tokenize") && help.errors == "")
        }
    }

    @Test func tokenizeAnswersEveryLineInOrder() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            let input = "\"hello 1234\"\r\n\"\"\n\"<|im_start|>\\n\\u00e9\""
            let fromFolder = try await Binary.run(["tokenize", "model"], input: input, in: folder)
            let fromFile = try await Binary.run(["tokenize", "model/tokenizer.json"], input: input, in: folder)
            #expect(fromFolder.status == 0 && fromFolder.errors == "")
            #expect(fromFolder.output == fromFile.output)
            #expect(fromFolder.lines.count == 3)
            #expect(fromFolder.lines[1] == "[]")
            #expect(try (json(fromFolder.lines[2]) as? [Int])?.first == 1)
        }
    }

    @Test func scoreGivesNMinusOneLogprobsAndKeepsTheOrder() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            let sequences = (0..<40).map { row in (0...(row % 7)).map { ($0 * 31 + row * 7) % 700 } }
            let input = sequences.map { "\($0)\n" }.joined()
            let result = try await Binary.run(
                ["score", "model", "--dtype", "f32", "--threads", "2"], input: input, in: folder)
            #expect(result.status == 0 && result.errors == "")
            let rows = try result.lines.map { try #require(try json($0) as? [Double]) }
            #expect(rows.map(\.count) == sequences.map { $0.count - 1 })
            #expect(rows.joined().allSatisfy { $0 < 0 && $0 > -20 })
            // Alone, a line scores as it does among others, to the last digit.
            let alone = try await Binary.run(
                ["score", "model", "--dtype", "f32", "--threads", "1"], input: "\(sequences[13])", in: folder)
            #expect(alone.lines == [result.lines[13]])
        }
    }

    @Test func scoreAnswersWhatComesBeforeABadLine() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            let result = try await Binary.run(["score", "model"], input: "[1,2,3]\n[4,5]\noops\n[6,7]\n", in: folder)
            #expect(result.status == 1)
            #expect(result.lines.count == 2)
            #expect(result.errorLines.count == 1)
            #expect(result.errors.hasPrefix("error: line 3: expected a JSON array of token ids"))
        }
    }

    @Test func generatedLogprobsAreThoseThatScoreGives() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            for dtype in ["f32", "bf16"] {
                let generated = try await Binary.run(
                    [
                        "generate", "model", "--chat", "Hi", "--max-tokens", "9", "--seed", "5", "--dtype", dtype,
                        "--json",
                    ],
                    in: folder)
                #expect(generated.status == 0 && generated.lines.count == 1)
                let object = try #require(try json(generated.output) as? [String: Any])
                let prompt = try #require(object["prompt_ids"] as? [Int])
                let ids = try #require(object["ids"] as? [Int])
                let logprobs = try #require(object["logprobs"] as? [Double])
                #expect(prompt.first == 1 && ids.count == logprobs.count && ids.count <= 9)
                #expect(["stop", "length"].contains(object["finish_reason"] as? String))
                #expect(object["text"] is String)
                let scored = try await Binary.run(
                    ["score", "model", "--dtype", dtype], input: "\(prompt + ids)", in: folder)
                #expect(try (json(scored.output) as? [Double])?.suffix(ids.count) == logprobs[...])
            }
        }
    }

    @Test func generateIsReproducibleAndStreamsTheSameText() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 3)
            let arguments = ["generate", "model", "--prompt", "Once", "--max-tokens", "12", "--seed", "7"]
            let first = try await Binary.run(arguments, in: folder)
            let second = try await Binary.run(arguments + ["--threads", "1"], in: folder)
            #expect(first.status == 0 && first.output == second.output)
            let object = try json(try await Binary.run(arguments + ["--json"], in: folder).output) as? [String: Any]
            #expect((object?["text"] as? String).map { $0 + "\n" } == first.output)
            let other = try await Binary.run(arguments.dropLast() + ["8"], in: folder)
            #expect(other.output != first.output)
            let greedy = arguments + ["--temperature", "0"]
            #expect(
                try await Binary.run(greedy, in: folder).output
                    == Binary.run(greedy.dropLast(4) + greedy.suffix(2), in: folder).output)
        }
    }

    @Test func convertKeepsTheModelAndPruneDropsLayers() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1, layers: 4)
            #expect(try await Binary.run(["convert", "model", "copy"], in: folder).status == 0)
            let ids = "[5,6,7,8,9]"
            let original = try await Binary.run(["score", "model", "--dtype", "f32"], input: ids, in: folder)
            #expect(
                try await Binary.run(["score", "copy", "--dtype", "f32"], input: ids, in: folder).output
                    == original.output)
            #expect(try await Binary.run(["prune", "model", "less", "--drop", "1,3"], in: folder).status == 0)
            let pruned = try ModelFiles.open("\(folder)/less")
            #expect(pruned.configuration.layerCount == 2)
            let result = try await Binary.run(["score", "less", "--dtype", "f32"], input: ids, in: folder)
            #expect(result.status == 0 && result.output != original.output)
        }
    }

    @Test func inspectNamesShapeTokenizerAndTemplate() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            let result = try await Binary.run(["inspect", "model"], in: folder)
            #expect(result.status == 0)
            for text in ["llama", "2 layers", "byte-level BPE", "tokenizer_config.json", "<|im_end|>"] {
                #expect(result.output.contains(text))
            }
        }
    }

    @Test(arguments: ["generate", "score", "train"])
    func benchPrintsOneObject(work: String) async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            let result = try await Binary.run(
                [
                    "bench", work, "model", "--batch", "2", "--prompt", "4", "--tokens", "8", "--threads", "1",
                    "--repetitions", "1", "--json",
                ], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let object = try #require(try json(result.output) as? [String: Any])
            #expect(object["what"] as? String == work)
            #expect(object["dtype"] as? String == "bf16")
            #expect(object["batch"] as? Int == 2 && object["threads"] as? Int == 1)
            #expect(object[work == "generate" ? "new" : "length"] as? Int == (work == "generate" ? 8 : 12))
            for key in ["tokens_per_second", "seconds", "peak_rss_bytes"] { #expect(object[key] as? Double ?? 0 > 0) }
        }
    }

    @Test func benchComparesTrainingSteps() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            let bench = ["bench", "divergence", "model", "--batch", "2", "--tokens", "8", "--threads", "1"]
            let result = try await Binary.run(
                bench + ["--top-k", "4", "--repetitions", "1", "--profile", "--json"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let object = try #require(try json(result.output) as? [String: Any])
            for key in ["seconds", "top_k_seconds", "full_seconds", "top_k_ratio", "full_ratio"] {
                #expect(object[key] as? Double ?? 0 > 0, "\(key)")
            }
            #expect(result.errors.contains("comparison") && !result.errors.contains("nan"))
            let most = try await Binary.run(bench + ["--top-k", "704"], in: folder)
            #expect(most.status == 2 && most.errors.contains("--top-k takes up to 703"), "\(most.errors)")
        }
    }

    @Test func configPrintsAResolvedFileThatReadsBack() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            let first = try await Binary.run(["config", "run.yaml", "--set", "training.steps=9"], in: folder)
            #expect(first.status == 0, "\(first.errors)")
            #expect(first.output.contains("  steps: 9\n"))
            #expect(first.output.contains("  top_p: 1  # default\n"))
            try write(first.output, "\(folder)/resolved.yaml")
            #expect(try await Binary.run(["config", "resolved.yaml"], in: folder).output == first.output)
        }
    }

    @Test func aReaderThatLeavesIsNoFailure() async throws {
        try withTemporaryFolder { folder in
            try TinyModel.write(to: "\(folder)/model", seed: 1)
            let shell = Process()
            shell.executableURL = URL(filePath: "/bin/bash")
            shell.currentDirectoryURL = URL(filePath: folder)
            shell.arguments = [
                "-c",
                "set -o pipefail; (for i in $(seq 20000); do echo '\"some text here\"'; done) | '\(Binary.path)' tokenize model | head -1 >/dev/null; exit ${PIPESTATUS[1]}",
            ]
            try shell.run()
            shell.waitUntilExit()
            #expect(shell.terminationStatus == 0)
        }
    }
}

import Distillation
import Foundation
import JSON
import Telemetry
import TestSupport
import Testing

/// What stays of a `samples.jsonl` that is full.
@Suite struct SamplesWriterTests {
    private static let limit = 120_000

    /// A response whose mean divergence is given; some 300 bytes.
    private func record(
        step: Int, number: UInt64 = 0, kl: Float = 0.1, kind: RolloutKind = .train, prompt: String = "ask",
        tags: [String] = []
    ) -> SampleRecord {
        let trajectory = Trajectory(
            id: RolloutID(group: number, sample: 0), kind: kind, teacher: "default", promptIDs: [1],
            responseIDs: [5, 6], behaviourLogprobs: [-0.5, -0.5], policyVersions: [0, 0], finishReason: .stop,
            temperature: 1)
        return SampleRecord(
            step: step, prompt: prompt, response: "a \"response\"",
            scored: .init(trajectory: trajectory, teacherLogprobs: [-0.5 - kl, -0.5 - kl]), tags: tags)
    }

    private func objects(_ folder: TemporaryFolder) throws -> [JSONFields] {
        try folder.text(of: "samples.jsonl").split(separator: "\n").map { try JSONFields(Array($0.utf8)) }
    }

    private func fill(_ writer: SamplesWriter, _ steps: ClosedRange<Int>) throws {
        for step in steps {
            for sample in 0..<4 as Range<UInt64> {
                // One in fifty is far worse than the others.
                let isBad = (step * 4 + Int(sample)) % 50 == 7
                try writer.append(
                    record(
                        step: step, number: UInt64(step) * 4 + sample, kl: isBad ? 9 : 0.1,
                        tags: sample == 0 ? ["rare"] : []))
            }
            for prompt in 0..<6 where step % 10 == 0 {
                try writer.append(
                    record(step: step, number: UInt64(prompt), kind: .evaluation, prompt: "held-out \(prompt)"))
            }
        }
    }

    @Test func theFileIsBoundedAndKeepsWhatIsWorthALook() throws {
        let folder = try TemporaryFolder()
        let writer = try SamplesWriter(folder: folder.path, resumingAfter: nil, limit: Self.limit)
        try fill(writer, 1...500)
        let size = try folder.text(of: "samples.jsonl").utf8.count
        #expect(size <= Self.limit && size > Self.limit / 3)
        let kept = try objects(folder)
        let steps = try kept.map { try $0.integer("step", as: Int.self) }
        #expect(steps == steps.sorted() && steps.last == 500)
        let worst = try kept.count { try ($0.floats("teacher_logprobs").first ?? 0) < -5 }
        #expect(worst >= 35, "of 40 that diverge most, \(worst) are left")
        #expect(try kept.count { try $0.string("kind") == "train" && $0.integer("step", as: Int.self) < 250 } > 20)
        #expect(kept.contains { $0.has("tags") })
        // The same prompts from the first evaluation to the last, rather than some of each.
        let evaluations = try kept.filter { try $0.string("kind") == "evaluation" }
        let byPrompt = Dictionary(grouping: evaluations) { (try? $0.string("prompt")) ?? "" }
        #expect(
            try byPrompt.values.contains { lines in
                let steps = try lines.map { try $0.integer("step", as: Int.self) }
                return steps.count >= 25 && steps[0] <= 100 && steps[steps.count - 1] >= 400
            }, "\(byPrompt.mapValues(\.count))")
    }

    /// Whoever gets the same responses keeps the same, and a run that goes on chooses as if it had not ended.
    @Test func theChoiceIsThatOfAnUninterruptedRun() throws {
        let (whole, parts) = (try TemporaryFolder(), try TemporaryFolder())
        try fill(try SamplesWriter(folder: whole.path, resumingAfter: nil, limit: Self.limit), 1...200)
        try fill(try SamplesWriter(folder: parts.path, resumingAfter: nil, limit: Self.limit), 1...90)
        try fill(try SamplesWriter(folder: parts.path, resumingAfter: 90, limit: Self.limit), 91...200)
        #expect(try whole.text(of: "samples.jsonl") == parts.text(of: "samples.jsonl"))
    }

    @Test func laterStepsAreCutFromAFileThatWasShrunk() throws {
        let folder = try TemporaryFolder()
        try fill(try SamplesWriter(folder: folder.path, resumingAfter: nil, limit: Self.limit), 1...200)
        let before = try folder.text(of: "samples.jsonl")
        let writer = try SamplesWriter(folder: folder.path, resumingAfter: 150, limit: Self.limit)
        try writer.append(record(step: 151))
        let text = try folder.text(of: "samples.jsonl")
        #expect(try objects(folder).allSatisfy { try $0.integer("step", as: Int.self) <= 151 })
        #expect(before.hasPrefix(text.split(separator: "\n").dropLast().joined(separator: "\n")))
    }

    @Test func aLineAboveTheLimitIsWrittenAllTheSame() throws {
        let folder = try TemporaryFolder()
        let writer = try SamplesWriter(folder: folder.path, resumingAfter: nil, limit: 100)
        for step in 1...3 { try writer.append(record(step: step)) }
        #expect(try objects(folder).map { try $0.integer("step", as: Int.self) } == [3])
    }
}

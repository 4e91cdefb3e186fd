import Distillation
import Exchange
import Foundation
import Logging
import Pipeline
import RunFiles
import Runs
import Telemetry
import TestSupport
import Testing

@Suite struct FolderRecorderTests {
    @Test func aResumedRunWritesEveryLineOnce() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("opd-recorder-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var plan = plan()
        plan.prompts[1].text = "what a person asked"
        func recorder(_ state: CheckpointState?) throws -> FolderRecorder {
            try FolderRecorder(
                folder: RunFolder(folder), resuming: state, progress: RunProgress(steps: 8, verbosity: .quiet),
                plan: plan, decode: { "\($0.count) ids" }, logger: Logger(label: "test"))
        }
        func lines(_ name: String) throws -> [String] {
            try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8).split(separator: "\n").map(String.init)
        }
        let trajectory = Trajectory(
            id: RolloutID(group: 0, sample: 0), kind: .train, teacher: "default", promptIDs: plan.prompts[1].ids,
            responseIDs: [4, 5, 6], behaviourLogprobs: [-1, -1, -1], policyVersions: [0, 0, 0], finishReason: .stop,
            temperature: 1)
        let scored = ScoredTrajectory(trajectory: trajectory, teacherLogprobs: [-2, -2, -2])
        let first = try recorder(nil)
        for step in 0...3 as ClosedRange<UInt64> {
            first.record(samples: [scored], step: step)
            first.record(StepMetrics(step: step, version: step, training: nil, tokens: TokenCounts()))
        }
        #expect(try lines("metrics.jsonl").count == 4)
        // A checkpoint of step 2 whose line waits for an evaluation: the line is written again, the samples are not.
        let pending = StepMetrics(step: 2, version: 2, training: nil, tokens: TokenCounts())
        let state = CheckpointState(
            step: 2, plan: plan, tokenizerFingerprint: "", tokens: TokenCounts(), pending: pending, before: nil,
            after: nil)
        let second = try recorder(state)
        second.record(pending)
        let metrics = try lines("metrics.jsonl")
        #expect(metrics.count == 3 && metrics[2].hasPrefix("{\"step\": 2"))
        let samples = try lines("samples.jsonl")
        #expect(samples.count == 3)
        #expect(samples.allSatisfy { $0.contains("what a person asked") && $0.contains("3 ids") })
    }

    /// A response of three tokens, the second of which an environment said.
    private static func trajectory(_ plan: RunPlan) -> Trajectory {
        var trajectory = Trajectory(
            id: RolloutID(group: 0, sample: 0), kind: .train, teacher: "default", promptIDs: plan.prompts[0].ids,
            responseIDs: [4, 5, 6], behaviourLogprobs: [-1, -1], policyVersions: [0, 0], finishReason: .stop,
            temperature: 1)
        trajectory.tokens.given = [1..<2]
        return trajectory
    }

    @Test func samplesSayWhatTheTeacherWouldRatherHaveWritten() throws {
        let folder = try TemporaryFolder()
        let plan = plan()
        let trajectory = Self.trajectory(plan)
        let top = TopTokens(
            count: 4, ids: [2, 4, 7, 9, 3, 5, 6, 8],
            logprobs: [-3, -0.123456, -2, -4, -0.5, -9, -1, -1], tails: [-5, -5])
        var scored = ScoredTrajectory(trajectory: trajectory, teacherLogprobs: [-0.123456, -1], top: top)
        let recorder = try FolderRecorder(
            folder: RunFolder(folder.path), resuming: nil, progress: RunProgress(steps: 8, verbosity: .quiet),
            plan: plan, decode: { "\($0)" }, pieces: { $0.map { $0 == 7 ? "" : $0 == 8 ? " \u{FFFD}" : "<\($0)>" } },
            logger: Logger(label: "test"))
        recorder.record(samples: [scored], step: 1)
        scored.top = nil
        recorder.record(samples: [scored], step: 2)
        var reader = try RunFolder(folder.path).readSamples()
        let choices = try #require(try reader.next()?.alternatives)
        #expect(choices.map { $0.map(\.id) } == [[4, 7, 2], [], [3, 6, 8]])
        #expect(choices[0].map(\.logprob) == [-0.1235, -2, -3] && choices[0].map(\.text) == ["<4>", "", "<2>"])
        #expect(choices[2].map(\.logprob) == [-0.5, -1, -1])
        // A part of a character has no text.
        #expect(choices[2].map(\.text) == ["<3>", "<6>", ""])
        #expect(try reader.next()?.alternatives == nil)
    }

    @Test func samplesSayWhatTheStepMeasured() throws {
        let folder = try TemporaryFolder()
        let plan = plan()
        let trajectory = Self.trajectory(plan)
        var scored = ScoredTrajectory(trajectory: trajectory, teacherLogprobs: [-0.5, -1])
        scored.measures = TokenMeasures(entropies: [0.123456, 2], ratios: [1, 1e-9], advantages: [-1234.56789, 0.25])
        let recorder = try FolderRecorder(
            folder: RunFolder(folder.path), resuming: nil, progress: RunProgress(steps: 8, verbosity: .quiet),
            plan: plan, decode: { "\($0)" }, logger: Logger(label: "test"))
        recorder.record(samples: [scored], step: 1)
        scored.measures = TokenMeasures(entropies: [0.5, 0.5])
        recorder.record(samples: [scored], step: 2)
        var reader = try RunFolder(folder.path).readSamples()
        let first = try #require(try reader.next()), second = try #require(try reader.next())
        #expect(first.entropies == [0.1235, 0, 2] && first.ratios == [1, 0, 0])
        #expect(first.advantages == [-1234.5679, 0, 0.25])
        #expect(second.entropies == [0.5, 0, 0.5] && second.ratios == nil && second.advantages == nil)
    }

    @Test func samplesSayWhereEachTokenEndsAndWhatThePromptIsCalled() throws {
        let folder = try TemporaryFolder()
        var plan = plan()
        plan.prompts[0].tags = ["sums", "\"hard\""]
        let trajectory = Trajectory(
            id: RolloutID(group: 0, sample: 0), kind: .train, teacher: "default", promptIDs: plan.prompts[0].ids,
            responseIDs: [4, 5, 6], behaviourLogprobs: [-1, -1, -1], policyVersions: [0, 0, 0], finishReason: .stop,
            temperature: 1)
        let scored = ScoredTrajectory(trajectory: trajectory, teacherLogprobs: [-2, -2, -2])
        // The second character is whole with the third token; what does not fit the text is not written.
        for (pieces, ends) in [(["a", "", "é"], [1, 1, 3]), (["a", "b", "c", "d"], nil), (["a"], nil)]
            as [([String], [Int]?)]
        {
            let recorder = try FolderRecorder(
                folder: RunFolder(folder.path), resuming: nil, progress: RunProgress(steps: 8, verbosity: .quiet),
                plan: plan, decode: { $0 == [4, 5, 6] ? "aé" : "prompt" }, pieces: { _ in pieces },
                logger: Logger(label: "test"))
            recorder.record(samples: [scored], step: 1)
            var reader = try RunFolder(folder.path).readSamples()
            let line = try #require(try reader.next())
            #expect(line.ends == ends && line.tags == ["sums", "\"hard\""] && line.prompt == "prompt")
        }
    }
}

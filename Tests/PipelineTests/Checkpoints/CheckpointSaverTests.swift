import Distillation
import Foundation
import Logging
import Pipeline
import RunFiles
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5)))
struct CheckpointSaverTests {
    let temporary: TemporaryFolder
    let store: CheckpointStore

    init() throws {
        temporary = try TemporaryFolder()
        store = try temporary.checkpointStore()
    }

    private func saver(_ schedule: CheckpointSchedule = .init(keepLast: 2)) -> CheckpointSaver {
        var options = RunOptions(plan: plan()) { _ in 0 }
        options.checkpoints = schedule
        options.configurationText = "name: x\n"
        return CheckpointSaver(store, options, saved: nil, logger: .silent)
    }

    private func state(_ step: UInt64) -> CheckpointState {
        CheckpointState(
            step: step, plan: plan(), tokenizerFingerprint: "", tokens: TokenCounts(), pending: nil, before: nil,
            after: nil)
    }

    @Test func theOldestGoAndTheNewestIsFound() async throws {
        let saver = saver(), model = UnigramTrainer()
        for step in 1...4 as ClosedRange<UInt64> { await saver.save(state(step), of: model) }
        await saver.finish()
        #expect(store.list().map(\.step) == [3, 4])
        #expect(readText("\(store.folder)/latest/\(CheckpointState.configurationName)") == "name: x\n")
        #expect(await saver.failure == nil)
    }

    /// Writing ends by itself, whether somebody waits for it or not: until then, and no longer, it is under way.
    @Test func itTellsWhileItWrites() async throws {
        let saver = saver()
        #expect(!saver.isWriting && saver.longest == nil)
        await saver.save(state(1), of: UnigramTrainer(saving: 0.2))
        #expect(saver.isWriting)
        while saver.isWriting { try await Task.sleep(for: .milliseconds(5)) }
        #expect(store.latest()?.step == 1)
        let longest = try #require(saver.longest)
        #expect(longest >= .milliseconds(200))
    }

    @Test func theSameStateIsNotWrittenAgain() async throws {
        let saver = saver(), model = UnigramTrainer()
        await saver.save(state(1), of: model)
        await saver.finish()
        await saver.save(state(1), of: model)
        #expect(!saver.isWriting)
    }

    /// What failed is no checkpoint, and is written when it is asked for again.
    @Test func aFailureIsKeptUntilTheNextSuccess() async throws {
        let saver = saver(), model = UnigramTrainer()
        let moved = store.folder + "-moved"
        try FileManager.default.moveItem(atPath: store.folder, toPath: moved)
        try writeText("in the way", to: store.folder)
        await saver.save(state(1), of: model)
        await saver.finish()
        #expect(await saver.failure?.contains("the checkpoint was not written") == true)
        try FileManager.default.removeItem(atPath: store.folder)
        try FileManager.default.moveItem(atPath: moved, toPath: store.folder)
        await saver.save(state(1), of: model)
        await saver.finish()
        #expect(await saver.failure == nil)
        #expect(store.latest()?.step == 1)
    }
}

import CheckpointCopies
import Foundation
import RunFiles
import TestSupport
import Testing
import Wording

/// Copies in a folder, made and brought back.
@Suite(.timeLimit(.minutes(5))) struct CheckpointCopierTests {
    let temporary: TemporaryFolder
    let run: RunFolder
    let store: CheckpointStore
    let place: FolderPlace

    init() throws {
        temporary = try TemporaryFolder()
        run = try RunFolder.open("\(temporary.path)/run", resume: false)
        store = CheckpointStore(folder: run.checkpoints)
        try store.prepare()
        place = FolderPlace("\(temporary.path)/copies")
    }

    @discardableResult private func save(_ step: Int) throws -> Checkpoint {
        try store.save(step: step) { folder in
            try #require(mkdir("\(folder)/model", 0o777) == 0)
            try writeText("weights \(step)", to: "\(folder)/model/model.safetensors")
            try writeText("{}", to: "\(folder)/state.json")
        }
    }

    private func copier(_ place: some CopyPlace, keepLast: Int = 3) -> CheckpointCopier {
        CheckpointCopier(
            to: place, newest: nil, of: run, keeping: CheckpointSchedule(keepLast: keepLast), logger: .silent)
    }

    /// Copies steps one after the other.
    private func copy(_ steps: [Int], keepLast: Int = 9) throws {
        for step in steps {
            try save(step)
            copier(place, keepLast: keepLast).finish(within: 60)
        }
    }

    private func fetch() throws -> (step: Int, refused: [String]) {
        var refused: [String] = []
        let step = try CopyFetch(place) { refused.append($0) }.fetch(into: "\(temporary.path)/fetched")
        return (step, refused)
    }

    @Test func aCopyIsTheCheckpointWithItsRecords() throws {
        try writeText("{\"step\": 1}\n", to: run.metrics)
        try copy([2])
        let copied = "\(temporary.path)/copies/step-000002"
        #expect(CheckpointManifest.flaw(in: copied) == nil)
        #expect(readText("\(copied)/records/metrics.jsonl") == "{\"step\": 1}\n")
        #expect(names("\(temporary.path)/copies") == ["owner", "step-000002"])
        #expect(names(run.checkpoints) == ["latest", "step-000002"], "nothing stays of what was held")
    }

    @Test func oldCopiesGoAndForeignFilesStay() throws {
        try copy([2])
        try writeText("mine", to: "\(temporary.path)/copies/notes.txt")
        try #require(mkdir("\(temporary.path)/copies/step-old", 0o777) == 0)
        try #require(mkdir("\(temporary.path)/copies/.part-step-000001", 0o777) == 0)
        try copy([4, 6], keepLast: 2)
        #expect(
            names("\(temporary.path)/copies") == ["notes.txt", "owner", "step-000004", "step-000006", "step-old"])
    }

    @Test func itIsBroughtBackWithItsRecords() throws {
        try writeText("{\"step\": 2}\n", to: run.metrics)
        try copy([2])
        let other = try RunFolder.open("\(temporary.path)/other", resume: false)
        let checkpoint = try CopyFetch(place) { Issue.record("\($0)") }.resume(into: other)
        #expect(checkpoint.step == 2 && checkpoint.flaw() == nil)
        #expect(CheckpointStore(folder: other.checkpoints).latest() == checkpoint)
        #expect(readText(other.metrics) == "{\"step\": 2}\n")
        #expect(names(other.checkpoints) == ["step-000002"])
        #expect(names(checkpoint.path) == ["manifest", "model", "state.json"])
        // It is the run that the place is of.
        #expect(try CopyOwner.check(place, for: other))
    }

    @Test(arguments: [
        ("printf 'weights 7' > model/model.safetensors", "model/model.safetensors has a wrong checksum"),
        ("printf 'weig' > model/model.safetensors", "model/model.safetensors has 4 bytes, not 9"),
        ("rm state.json", "state.json is missing"),
        ("head -c 100 complete > c && mv c complete", "its list 'complete' is not whole"),
        ("rm state.json && ln -s manifest state.json", "state.json is missing"),
    ])
    func aDamagedCopyIsRefusedByName(_ damage: String, _ flaw: String) throws {
        try copy([2, 4])
        #expect(try shell("cd '\(temporary.path)/copies/step-000004' && \(damage)") == 0)
        let (step, refused) = try fetch()
        #expect(step == 2)
        #expect(refused == ["\(place.name)/step-000004 is damaged and is not used: \(flaw)"])
    }

    @Test func withoutACompleteMarkerThereIsNone() throws {
        try copy([2])
        try #require(unlink("\(temporary.path)/copies/step-000002/complete") == 0)
        #expect(throws: PlaceError.self) { try fetch() }
    }

    @Test func thePlaceOfAnotherRunIsRefused() throws {
        try copy([2])
        let other = try RunFolder.open("\(temporary.path)/other", resume: false)
        #expect(throws: UsageError.self) { try CopyOwner.claim(place, for: other) }
        #expect(throws: UsageError.self) { try CopyOwner.claim(FolderPlace(run.checkpoints), for: other) }
        try CopyOwner.claim(place, for: run)
    }

    /// What it tells once it has failed; it is ended then.
    private func failure(of copier: CheckpointCopier) async throws -> CopyReport {
        while !copier.report.text.contains("failing") { try await Task.sleep(for: .milliseconds(5)) }
        copier.finish(within: 0)
        return copier.report
    }

    @Test func aDamagedCheckpointIsNotCopied() async throws {
        let checkpoint = try save(2)
        try writeText("[]", to: "\(checkpoint.path)/state.json")
        let copier = copier(place)
        let report = try await failure(of: copier)
        #expect(report.step == nil && report.text.contains("state.json has a wrong checksum"), "\(report.text)")
    }

    /// Neither a place that fails nor one that takes long keeps the run.
    @Test func afterAFailureItGoesOnFromThere() async throws {
        try save(2)
        try writeText("in the way", to: "\(temporary.path)/copies")
        #expect(try await failure(of: copier(place)).step == nil)
        try #require(unlink("\(temporary.path)/copies") == 0)
        // Another: what was stopped stays so.
        let working = copier(FolderPlace(place.name))
        working.finish(within: 60)
        #expect(working.report.step == 2 && working.report.age != nil)
    }

    @Test func aProbeLeavesNothing() throws {
        try place.probe()
        #expect(names("\(temporary.path)/copies").isEmpty)
        let file = "\(temporary.path)/file"
        try writeText("", to: file)
        #expect(throws: PlaceError.self) { try FolderPlace(file).probe() }
    }
}

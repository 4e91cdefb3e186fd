import CheckpointCopies
import Files
import Foundation
import Locking
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

    @discardableResult private func save(_ step: Int, branch: String = "") throws -> Checkpoint {
        try store.save(step: step) { folder in
            try #require(mkdir("\(folder)/model", 0o777) == 0)
            try writeText("weights \(step)\(branch)", to: "\(folder)/model/model.safetensors")
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

    @discardableResult private func fetch() throws -> (step: Int, refused: [String]) {
        var refused: [String] = []
        let step = try CopyFetch(place) { refused.append($0) }.fetch(into: "\(temporary.path)/fetched")
        return (step, refused)
    }

    /// A process that is killed as it writes leaves its file under the temporary name.
    @Test func whatAKilledProcessWasWritingGoes() throws {
        try copy([1])
        for name in ["latest.tmp1", "latest.tmp99999", "owner.tmp7"] {
            try writeText("step", to: "\(place.name)/\(name)")
        }
        try copy([2])
        #expect(names(place.name) == ["latest", "owner", "owner.tmp7", "step-000001", "step-000002"])
    }

    @Test func aCopyIsTheCheckpointWithItsRecords() throws {
        try writeText("{\"step\": 1}\n", to: run.metrics)
        try copy([2])
        let copied = "\(temporary.path)/copies/step-000002"
        #expect(CheckpointManifest.flaw(in: copied) == nil)
        #expect(readText("\(copied)/records/metrics.jsonl") == "{\"step\": 1}\n")
        #expect(names("\(temporary.path)/copies") == ["latest", "owner", "step-000002"])
        #expect(names(run.checkpoints) == ["latest", "step-000002"], "nothing stays of what was held")
    }

    @Test func oldCopiesGoAndForeignFilesStay() throws {
        try copy([2])
        try writeText("mine", to: "\(temporary.path)/copies/notes.txt")
        try #require(mkdir("\(temporary.path)/copies/step-old", 0o777) == 0)
        try #require(mkdir("\(temporary.path)/copies/.part-step-000001", 0o777) == 0)
        try copy([4, 6], keepLast: 2)
        #expect(
            names("\(temporary.path)/copies")
                == ["latest", "notes.txt", "owner", "step-000004", "step-000006", "step-old"])
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

    /// A run that goes back to an earlier checkpoint leaves copies of later steps behind.
    @Test func theBranchThatWasLeftIsNotGoneOnWith() throws {
        try copy([2, 4, 6])
        for step in [4, 6] { try FileTree.remove(store.list().first { $0.step == step }!.path) }
        try copy([3])
        #expect(try fetch().step == 3)
        // They are gone once there is another, and lead nobody astray where that is damaged.
        #expect(names(place.name) == ["latest", "owner", "step-000002", "step-000003"])
        // Until the next copy is whole those before it count.
        try writeText("step-000005\n", to: "\(place.name)/latest")
        #expect(try fetch().step == 3)
        try writeText("what\n", to: "\(place.name)/latest")
        #expect(throws: PlaceError.self) { try fetch() }
    }

    /// A place to which something befalls before a call.
    private struct HauntedPlace: CopyPlace {
        let base: FolderPlace
        let before: @Sendable (_ path: String) throws(PlaceError) -> Void
        var name: String { base.name }
        func list() throws(PlaceError) -> PlacedCopies {
            try before("")
            return try base.list()
        }
        func read(_ path: String, limit: Int) throws(PlaceError) -> [UInt8]? {
            try before(path)
            return try base.read(path, limit: limit)
        }
        func write(_ bytes: [UInt8], to path: String) throws(PlaceError) {
            try before(path)
            try base.write(bytes, to: path)
        }
        func delete(_ path: String) throws(PlaceError) {
            try before(path)
            try base.delete(path)
        }
        func put(_ folder: String, as name: String, _ manifest: CopyManifest) throws(PlaceError) {
            try before(name)
            try base.put(folder, as: name, manifest)
        }
        func sizes(of name: String, _ manifest: CopyManifest) throws(PlaceError) -> [String: UInt64] {
            try base.sizes(of: name, manifest)
        }
        func get(_ name: String, _ manifest: CopyManifest, into folder: String) throws(PlaceError) {
            try base.get(name, manifest, into: folder)
        }
        func remove(_ name: String) throws(PlaceError) {
            try before(name)
            try base.remove(name)
        }
        func stop() { base.stop() }
    }

    /// Whenever the machine is lost, the copy that is gone on from is of the branch that the run is on, once the place
    /// knows of it; also where the branch that it left has one of the very same step.
    @Test func theBranchThatWasLeftNeverStandsInForTheOther() async throws {
        var found: [String] = [], isDone = false
        for calls in 0..<100 where !isDone {
            try? FileTree.remove(place.name)
            try? FileTree.remove("\(run.path)/copy-id")
            for checkpoint in store.list() { try FileTree.remove(checkpoint.path) }
            try copy([2, 4, 6])
            for step in [4, 6] { try FileTree.remove(store.list().first { $0.step == step }!.path) }
            try save(4, branch: " of another branch")
            let count = Locked(0)
            let mortal = HauntedPlace(base: FolderPlace(place.name)) { _ throws(PlaceError) in
                let isDead = count.withLock { count in
                    count += 1
                    return count > calls
                }
                if isDead { throw PlaceError("copies", "the machine is lost") }
            }
            let dying = copier(mortal, keepLast: 9)
            while dying.report.step != 4, !dying.report.text.contains("failing") {
                try await Task.sleep(for: .milliseconds(1))
            }
            dying.finish(within: dying.report.step == 4 ? 60 : 0)
            isDone = count.withLock { $0 } <= calls
            try fetch()
            found.append(try #require(readText("\(temporary.path)/fetched/model/model.safetensors")))
        }
        #expect(isDone)
        var order: [String] = []
        for text in found where order.last != text { order.append(text) }
        #expect(order == ["weights 6", "weights 2", "weights 4 of another branch"])
    }

    /// What was there a moment ago may be the newest.
    @Test func aListThatVanishesIsNoDamage() throws {
        try copy([2, 4])
        let list = "\(place.name)/step-000004/complete"
        let place = HauntedPlace(base: place) { path in
            if path == "step-000004/complete" { unlink(list) }
        }
        let error = #expect(throws: PlaceError.self) {
            try CopyFetch(place) { Issue.record("\($0)") }.fetch(into: "\(temporary.path)/fetched")
        }
        #expect(error?.message.contains("step-000004: its list 'complete' is gone") == true)
    }

    @Test func aPlaceThatIsNotMountedIsNotTakenAnew() throws {
        try copy([2])
        try FileTree.rename(place.name, to: "\(temporary.path)/elsewhere")
        let error = #expect(throws: PlaceError.self) { try CopyOwner.claim(place, for: run) }
        #expect(error?.message.contains("has nothing of it now") == true)
        #expect(FileTree.kind(place.name) == .missing)
        // Another place may be taken; and this one, once it is back.
        try CopyOwner.claim(FolderPlace("\(temporary.path)/another"), for: run)
        try FileTree.rename("\(temporary.path)/elsewhere", to: place.name)
        try CopyOwner.claim(place, for: run)
    }

    /// What cannot be looked at may be there.
    @Test func aPlaceThatCannotBeLookedAtIsNotEmpty() throws {
        let loop = "\(temporary.path)/loop"
        try FileTree.link(loop, to: "loop")
        let place = FolderPlace("\(loop)/copies")
        #expect(throws: PlaceError.self) { try place.list() }
        #expect(throws: PlaceError.self) { try place.read("owner", limit: 100) }
    }

    /// A copy that is being replaced stays until the other one is whole.
    @Test func aCopyThatIsReplacedCountsUntilThen() throws {
        try copy([2])
        try FileTree.rename("\(place.name)/step-000002", to: "\(place.name)/.old-step-000002")
        #expect(try fetch().step == 2)
        try copy([4])
        #expect(names(place.name) == ["latest", "owner", "step-000004"])
    }

    @Test func aFetchThatWasCutOffIsBegunAgain() throws {
        try writeText("{\"step\": 2}\n", to: run.metrics)
        try copy([2])
        let other = try RunFolder.open("\(temporary.path)/other", resume: false)
        try writeText("started\n", to: other.log("run"))
        let damaged = "\(place.name)/step-000002/state.json"
        try writeText("[]", to: damaged)
        #expect(throws: PlaceError.self) { try CopyFetch(place) { _ in }.resume(into: other) }
        #expect(other.cutOffFetch == nil && names(other.checkpoints).isEmpty, "what brought nothing leaves nothing")
        // As after a kill between the records and the checkpoint.
        try writeText("\(place.name)\n", to: other.fetching)
        try writeText("{\"step\": 2}\n", to: other.metrics)
        #expect(throws: PlaceError.self) { try CopyFetch(place) { _ in }.resume(into: other) }
        #expect(other.cutOffFetch == place.name && !other.hasBegun)
        try writeText("{}", to: damaged)
        let again = try RunFolder.open(other.path, resume: false)
        #expect(try CopyFetch(place) { Issue.record("\($0)") }.resume(into: again).step == 2)
        #expect(again.cutOffFetch == nil && again.hasBegun)
    }

    @Test func aPlaceInTheRunsOwnFolderIsRefused() throws {
        try FileTree.link("\(temporary.path)/link", to: run.path)
        for path in [run.path, "\(run.path)/copies", "\(temporary.path)/link/a/b"] {
            #expect(throws: UsageError.self) { try CopyOpening.check(.folder(path), for: run, key: "k") }
        }
        try CopyOpening.check(.folder("\(run.path)-copies"), for: run, key: "k")
    }

    /// A place that never answers, until it is stopped.
    private struct HangingPlace: CopyPlace {
        let name = "nowhere"
        let stopped = DispatchSemaphore(value: 0)
        func read(_ path: String, limit: Int) throws(PlaceError) -> [UInt8]? {
            stopped.wait()
            throw PlaceError(name, "it was stopped")
        }
        func stop() { stopped.signal() }
        func list() throws(PlaceError) -> PlacedCopies { PlacedCopies() }
        func write(_ bytes: [UInt8], to path: String) throws(PlaceError) {}
        func delete(_ path: String) throws(PlaceError) {}
        func put(_ folder: String, as name: String, _ manifest: CopyManifest) throws(PlaceError) {}
        func sizes(of name: String, _ manifest: CopyManifest) throws(PlaceError) -> [String: UInt64] { [:] }
        func get(_ name: String, _ manifest: CopyManifest, into folder: String) throws(PlaceError) {}
        func remove(_ name: String) throws(PlaceError) {}
    }

    @Test func aPlaceThatHangsDoesNotKeepARunFromItsStart() async throws {
        let error = await #expect(throws: PlaceError.self) {
            _ = try await CopyOpening.open(HangingPlace(), for: run, within: .milliseconds(20))
        }
        #expect(error?.message.hasPrefix("nowhere: it has not answered") == true)
        #expect(try await CopyOpening.open(place, for: run) == nil)
        try copy([2])
        #expect(try await CopyOpening.open(place, for: run) == 2)
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

import Glibc
import RunFiles
import TestSupport
import Testing

@Suite struct CheckpointStoreTests {
    let temporary: TemporaryFolder
    let store: CheckpointStore

    init() throws {
        temporary = try TemporaryFolder()
        store = try temporary.checkpointStore()
    }

    private func save(_ step: Int, _ text: String = "x") throws {
        _ = try store.save(step: step) { folder in
            try #require(mkdir("\(folder)/model", 0o777) == 0)
            try writeText(text, to: "\(folder)/model/weights")
            try writeText("\(step)", to: "\(folder)/state.json")
        }
    }

    private func linkTarget() -> String? {
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = buffer.withUnsafeMutableBytes {
            readlink("\(store.folder)/latest", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
    }

    @Test func savedIsFoundWhole() throws {
        #expect(store.latest() == nil)
        var seen = ""
        let saved = try store.save(step: 10) { folder in
            seen = folder
            try writeText("hello", to: "\(folder)/state.json")
        }
        #expect(saved == Checkpoint(step: 10, path: "\(store.folder)/step-000010"))
        #expect(seen.hasPrefix("\(store.folder)/.tmp-"), "written beside, under another name")
        #expect(store.latest() == saved)
        #expect(readText("\(store.folder)/latest/state.json") == "hello")
        #expect(linkTarget() == "step-000010", "relative: the run folder can be moved")
        #expect(names(store.folder) == ["latest", "step-000010"])
    }

    @Test func laterOnesBecomeTheLatest() throws {
        for step in [0, 9, 10, 1_234_567] {
            try save(step)
            #expect(store.latest()?.step == step)
        }
        #expect(store.list().map(\.step) == [0, 9, 10, 1_234_567])
        #expect(names(store.folder) == ["latest", "step-000000", "step-000009", "step-000010", "step-1234567"])
    }

    @Test func theSameStepIsReplaced() throws {
        try save(5, "first")
        try save(5, "second")
        #expect(readText("\(store.folder)/step-000005/model/weights") == "second")
        #expect(names(store.folder) == ["latest", "step-000005"])
    }

    @Test func aFailedWriteLeavesTheLastGoodOne() throws {
        struct Trouble: Error, CustomStringConvertible { let description = "no more paper" }
        let error = #expect(throws: CheckpointError.self) {
            _ = try store.save(step: 1) { _ in throw Trouble() }
        }
        #expect(
            error?.description
                == "\(store.folder)/step-000001: the checkpoint was not written: no more paper; there is none yet")
        #expect(names(store.folder) == [])
        try save(2)
        let second = #expect(throws: CheckpointError.self) {
            _ = try store.save(step: 3) { folder in
                try writeText("half", to: "\(folder)/state.json")
                throw Trouble()
            }
        }
        #expect(second?.code == .cannotSave)
        #expect(second?.description.hasSuffix("; the last good one is step-000002") == true)
        #expect(names(store.folder) == ["latest", "step-000002"])
        #expect(store.latest()?.step == 2)
        try save(3)
        #expect(store.latest()?.step == 3, "and the next one works")
    }

    @Test func aFailedReplacementLeavesTheOldOne() throws {
        try save(4, "good")
        #expect(throws: CheckpointError.self) {
            _ = try store.save(step: 4) { _ in throw CheckpointError(.cannotSave, "no") }
        }
        #expect(readText("\(store.folder)/latest/model/weights") == "good")
    }

    @Test func crashedWritesAreRemovedAtStart() throws {
        try save(10)
        // What a process killed in the middle of a write, of a removal and of a change of the link leaves.
        #expect(
            try shell(
                "cd '\(store.folder)' && mkdir -p .tmp-step-000020-77/model .tmp-removed-step-000001-77"
                    + " && echo half > .tmp-step-000020-77/model/weights && ln -s step-000020 .tmp-latest-77"
                    + " && ln -s '\(temporary.path)' .tmp-removed-step-000001-77/out") == 0)
        try temporary.write("keep", "outside")
        #expect(store.latest()?.step == 10)
        #expect(store.list().map(\.step) == [10], "a folder that was not renamed is no checkpoint")
        try store.prepare()
        #expect(names(store.folder) == ["latest", "step-000010"])
        #expect(temporary.read("outside") == "keep", "links are removed, not followed")
    }

    @Test func withoutALinkTheNewestIsTaken() throws {
        try save(10)
        try save(20)
        #expect(unlink("\(store.folder)/latest") == 0)
        #expect(store.latest()?.step == 20)
        #expect(symlink("step-000030", "\(store.folder)/latest") == 0)
        #expect(store.latest()?.step == 20, "dangling")
        try save(25)
        #expect(linkTarget() == "step-000025", "mended by the next one")
    }

    @Test func theLinkIsHonoured() throws {
        try save(10)
        try save(20)
        #expect(try shell("ln -sfn step-000010 '\(store.folder)/latest'") == 0)
        #expect(store.latest()?.step == 10, "a person went back")
    }

    @Test(arguments: [
        "../other/step-000099", "/tmp", ".", "..", "step-000010/", "step-10", "step-000010x", "step-00000000010",
        "step--00001", "step-+00010", "step-", "", "latest", "step-99999999999999999999", "step-000011",
    ])
    func aLinkToAnythingElseIsNotFollowed(target: String) throws {
        try save(10)
        try save(20)
        #expect(try shell("mkdir -p '\(temporary.path)/other/step-000099'") == 0)
        #expect(symlink("\(temporary.path)/other/step-000099", "\(store.folder)/step-000011") == 0)
        #expect(unlink("\(store.folder)/latest") == 0)
        if !target.isEmpty { #expect(symlink(target, "\(store.folder)/latest") == 0) }
        #expect(store.latest()?.step == 20)
        #expect(store.list().map(\.step) == [10, 20])
    }

    @Test func theOldestArePruned() throws {
        for step in 1...5 { try save(step) }
        try store.prune(keepLast: 3)
        #expect(store.list().map(\.step) == [3, 4, 5])
        try store.prune(keepLast: 3)
        #expect(store.list().map(\.step) == [3, 4, 5])
        #expect(try shell("ln -sfn step-000003 '\(store.folder)/latest'") == 0)
        try store.prune(keepLast: 1)
        #expect(store.list().map(\.step) == [3, 5], "never the one that the link names")
        #expect(names(store.folder) == ["latest", "step-000003", "step-000005"])
    }

    @Test func aFolderThatCannotBeMadeIsNamed() throws {
        try temporary.write("", "file")
        let error = #expect(throws: CheckpointError.self) {
            try CheckpointStore(folder: "\(temporary.path)/file/checkpoints").prepare()
        }
        #expect(error?.description.contains("\(temporary.path)/file/checkpoints") == true)
        #expect(error?.description.contains("Not a directory") == true)
    }

    @Test(.enabled(if: geteuid() == 0, "mounts a file system"))
    func aFullDiskIsSurvived() throws {
        let disk = "\(temporary.path)/disk"
        #expect(mkdir(disk, 0o777) == 0)
        guard try shell("mount -t tmpfs -o size=64k opd-test '\(disk)' 2>/dev/null") == 0 else {
            print("skipped: mounting is not allowed here")
            return
        }
        defer { _ = try? shell("umount '\(disk)'") }
        let store = CheckpointStore(folder: "\(disk)/checkpoints")
        try store.prepare()
        _ = try store.save(step: 1) { try writeText("good", to: "\($0)/state.json") }
        let error = #expect(throws: CheckpointError.self) {
            _ = try store.save(step: 2) { folder in
                let path = "\(folder)/model.safetensors"
                guard let file = fopen(path, "w") else { throw TestFileError(path: path, code: errno) }
                defer { fclose(file) }
                let chunk = [UInt8](repeating: 1, count: 8192)
                for _ in 0..<100 where fwrite(chunk, 1, chunk.count, file) < chunk.count || fflush(file) != 0 {
                    throw TestFileError(path: path, code: errno)
                }
            }
        }
        #expect(error?.description.contains("step-000002: the checkpoint was not written") == true)
        #expect(error?.description.contains("\(ENOSPC)") == true)
        #expect(names(store.folder) == ["latest", "step-000001"], "the room of the partial one is free again")
        #expect(store.latest()?.step == 1)
        #expect(readText("\(store.folder)/latest/state.json") == "good")
    }
}

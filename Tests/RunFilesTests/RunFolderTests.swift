import Glibc
import RunFiles
import TestSupport
import Testing

@Suite struct RunFolderTests {
    let temporary: TemporaryFolder
    let path: String

    init() throws {
        temporary = try TemporaryFolder()
        path = "\(temporary.path)/runs/x"
    }

    @Test func aNewFolderIsMade() throws {
        let folder = try RunFolder.open(path + "/", resume: false)
        #expect(folder.path == path)
        #expect(names(path) == ["checkpoints", "logs"])
        #expect(folder.log("rollout-0") == "\(path)/logs/rollout-0.log")
        #expect(folder.metrics == "\(path)/metrics.jsonl")
        #expect(folder.samples == "\(path)/samples.jsonl")
        #expect(folder.configuration == "\(path)/config.yaml")
    }

    /// A run folder may have come from elsewhere, links and all.
    @Test func nothingIsWrittenThroughALink() throws {
        let folder = try RunFolder.open(path, resume: false)
        try temporary.write("mine", "mine.txt")
        let target = "\(temporary.path)/mine.txt"
        for link in [folder.configuration, "\(folder.configuration).tmp\(getpid())", folder.endpoint] {
            #expect(symlink(target, link) == 0)
        }
        try folder.write("a: 1\n", to: folder.configuration)
        try folder.writeEndpoint("tcp://127.0.0.1:1")
        #expect(temporary.read("mine.txt") == "mine")
        #expect(readText(folder.configuration) == "a: 1\n" && folder.readEndpoint() == "tcp://127.0.0.1:1")
    }

    @Test func anExistingOneIsRefusedInOneLine() throws {
        _ = try RunFolder.open(path, resume: false)
        let error = #expect(throws: RunFolderError.self) {
            _ = try RunFolder.open(path, resume: false)
        }
        #expect(error?.description == "\(path) exists; continue it with --resume or choose another name")
        _ = try RunFolder.open(path, resume: true)
        _ = try RunFolder.open(path, resume: false, isManaged: true)
    }

    @Test func anEarlierRunIsSetAside() throws {
        #expect(try RunFolder.setAside(path) == nil)
        for number in 1...2 {
            let folder = try RunFolder.open(path, resume: false, hasAgain: true)
            try folder.write("a: \(number)\n", to: folder.configuration)
            #expect(try RunFolder.setAside(path + "/") == "\(path)-\(number)")
        }
        #expect(readText("\(path)-1/config.yaml") == "a: 1\n" && readText("\(path)-2/config.yaml") == "a: 2\n")
        #expect(names("\(temporary.path)/runs") == ["x-1", "x-2"])
    }

    /// Neither a run that goes on nor a folder that no run has made is moved.
    @Test func whatIsNoFinishedRunStays() throws {
        let folder = try RunFolder.open(path, resume: false)
        let lock = try folder.lock()
        var error = #expect(throws: RunFolderError.self) { try RunFolder.setAside(path) }
        #expect(error?.description == "\(path) is in use by another learner; wait for it to end or stop it")
        withExtendedLifetime(lock) {}
        error = #expect(throws: RunFolderError.self) { try RunFolder.setAside(temporary.path) }
        #expect(error?.description.hasSuffix(" is not the folder of a run; choose another name or run_folder") == true)
        #expect(names("\(temporary.path)/runs") == ["x"])
    }

    @Test func resumingNothingBegins() throws {
        let folder = try RunFolder.open(path, resume: true)
        #expect(names(path) == ["checkpoints", "logs"])
        #expect(CheckpointStore(folder: folder.checkpoints).latest() == nil)
    }

    @Test func aFileInItsPlaceIsNamed() throws {
        try temporary.write("", "runs")
        #expect(throws: RunFolderError.self) { _ = try RunFolder.open(path, resume: false) }
        let error = #expect(throws: RunFolderError.self) {
            _ = try RunFolder.open("\(temporary.path)/runs", resume: true)
        }
        #expect(error?.description.contains("runs is not a folder") == true)
    }

    @Test func oneLearnerAtATime() throws {
        let folder = try RunFolder.open(path, resume: false)
        var lock: RunFolderLock? = try folder.lock()
        let error = #expect(throws: RunFolderError.self) { _ = try folder.lock() }
        #expect(error?.description == "\(path) is in use by another learner; wait for it to end or stop it")
        #expect(lock != nil)
        lock = nil
        _ = try folder.lock()
    }

    @Test func theEndpointIsReadOnceItIsWhole() throws {
        let folder = try RunFolder.open(path, resume: false)
        #expect(folder.readEndpoint() == nil)
        try writeText("tcp://127.0.0.1:1", to: folder.endpoint)
        #expect(folder.readEndpoint() == nil, "no line yet")
        try folder.writeEndpoint("tcp://127.0.0.1:12345")
        #expect(folder.readEndpoint() == "tcp://127.0.0.1:12345")
        #expect(names(path) == ["checkpoints", "endpoint", "logs"])
    }

    @Test func recordsOfAnAbandonedBeginningAreKept() throws {
        let folder = try RunFolder.open(path, resume: false)
        #expect(try folder.setAside() == [])
        try writeText("{\"step\": 1}\n", to: folder.metrics)
        try writeText("", to: folder.samples)
        #expect(try folder.setAside() == ["\(path)/metrics-1.jsonl"])
        try writeText("{\"step\": 1}\n", to: folder.metrics)
        #expect(try folder.setAside() == ["\(path)/metrics-2.jsonl"])
        #expect(readText("\(path)/metrics-1.jsonl") == "{\"step\": 1}\n")
        #expect(names(path) == ["checkpoints", "logs", "metrics-1.jsonl", "metrics-2.jsonl", "samples.jsonl"])
    }

    /// A process that another test starts has every descriptor, locks too, until it runs its program.
    private func waitUntilFree() throws {
        for _ in 0..<500 where (try? RunFolder.check(path)) == nil { usleep(10_000) }
        try RunFolder.check(path)
    }

    /// A start that failed left logs: the next one takes the folder, unless the first is still under way.
    @Test func aFailedStartIsInNobodysWay() throws {
        let folder = try RunFolder.open(path, resume: false)
        var claim = folder.claim()
        #expect(claim != nil && folder.claim() == nil)
        try writeText("x", to: folder.log("run"))
        try folder.write("name: x\n", to: folder.configuration)
        #expect(throws: RunFolderError.self) { try RunFolder.check(path) }
        claim = nil
        var lock: RunFolderLock? = try folder.lock()
        #expect(throws: RunFolderError.self) { _ = try RunFolder.open(path, resume: false) }
        lock = nil
        _ = (claim, lock)
        try waitUntilFree()
        #expect(readText(folder.log("run")) == "x")
        for precious in ["notes.txt", "metrics.jsonl"] {
            try writeText("{}", to: "\(path)/\(precious)")
            #expect(throws: RunFolderError.self) { _ = try RunFolder.open(path, resume: false) }
            #expect(unlink("\(path)/\(precious)") == 0)
        }
        let store = CheckpointStore(folder: folder.checkpoints)
        _ = try store.save(step: 1) { _ in }
        #expect(throws: RunFolderError.self) { _ = try RunFolder.open(path, resume: false) }
        #expect(try shell("rm -r '\(folder.checkpoints)'/*") == 0)
        try waitUntilFree()
        _ = try RunFolder.open(path, resume: false)
        #expect(names(path) == ["checkpoints", "logs"] && names(folder.logs) == [])
    }

    @Test func onlyAnUnusedFolderIsRemoved() throws {
        let folder = try RunFolder.open(path, resume: false)
        try writeText("x", to: folder.log("rollout-0"))
        try folder.write("name: x\n", to: folder.configuration)
        for precious in ["notes.txt", "metrics.jsonl", "samples.jsonl"] {
            try writeText("{}", to: "\(path)/\(precious)")
            folder.removeIfUnused()
            #expect(readText("\(path)/\(precious)") == "{}")
            #expect(unlink("\(path)/\(precious)") == 0)
        }
        try writeText("", to: folder.metrics)
        let store = CheckpointStore(folder: folder.checkpoints)
        let checkpoint = try store.save(step: 1) { _ in }
        folder.removeIfUnused()
        #expect(store.latest() == checkpoint)
        #expect(try shell("rm -r '\(folder.checkpoints)'/*") == 0)
        folder.removeIfUnused()
        #expect(names("\(temporary.path)/runs") == [])
    }
}

import Files
import Glibc
import RunFiles
import Telemetry
import TestSupport
import Testing

@Suite struct TermFolderTests {
    let temporary: TemporaryFolder
    let run: RunFolder
    let terms: TermFolder

    init() throws {
        temporary = try TemporaryFolder()
        run = try RunFolder.open("\(temporary.path)/run", resume: false)
        terms = TermFolder(run)
    }

    private func begin() throws -> HeldTerm { try #require(try terms.begin(host: "boot@here", after: .seconds(30))) }

    private func take() throws -> HeldTerm {
        let sight = try #require(try terms.sight())
        return try #require(try terms.take(sight, host: "boot@there", after: .seconds(30)))
    }

    private func expectLost(_ term: HeldTerm) {
        #expect(throws: TermLostError.self) { try term.check() }
        #expect(throws: TermLostError.self) { try term.renew() }
        #expect(throws: TermLostError.self) { try term.end(as: .finished, reason: "") }
    }

    @Test func aTermIsHeldUntilAnotherTakesIt() throws {
        #expect(!terms.isThere)
        #expect(try terms.sight() == nil)
        let first = try begin()
        #expect(try terms.begin(host: "boot@here", after: .seconds(30)) == nil, "there is one")
        try first.check()
        let before = try #require(try terms.sight())
        #expect(before.number == 1 && before.record?.host == "boot@here" && before.record?.state == .held)
        try first.renew()
        let after = try #require(try terms.sight())
        #expect(after != before && after.number == 1 && after.record?.beat == 1)
        let second = try take()
        #expect(second.number == 2)
        try second.check()
        #expect(try terms.take(after, host: "boot@third", after: .seconds(30)) == nil, "another was quicker")
        expectLost(first)
        try second.end(as: .finished, reason: "all steps are done")
        let record = try #require(try terms.sight()?.record)
        #expect(record.state == .finished && record.reason == "all steps are done" && record.term == 2)
    }

    /// On this machine a lock tells at once; of another machine nobody knows.
    @Test func aProcessOfThisMachineIsKnownToLive() async throws {
        var first: HeldTerm? = try begin()
        let sight = try #require(try terms.sight())
        #expect(!terms.isDead(sight, host: "boot@here"))
        withExtendedLifetime(first) {}
        first = nil
        // A child that another test is just starting may hold a copy of the lock for a moment.
        let deadline = ContinuousClock.now + .seconds(60)
        while !terms.isDead(sight, host: "boot@here"), .now < deadline { try await Task.sleep(for: .milliseconds(10)) }
        #expect(terms.isDead(sight, host: "boot@here"))
        #expect(!terms.isDead(sight, host: "boot@there"))
    }

    @Test func nothingOfAnEarlierTermGetsAName() throws {
        let first = try begin()
        let store = CheckpointStore(folder: run.checkpoints, term: first)
        _ = try store.save(step: 1) { try writeText("one", to: "\($0)/state.json") }
        #expect(names(run.checkpoints) == ["latest", "step-000001"])
        var second: HeldTerm?
        #expect(throws: CheckpointError.self) {
            try store.save(step: 2) { folder in
                try writeText("two", to: "\(folder)/state.json")
                second = try take()
                // What engines do that make the folders above theirs.
                try FileTree.createFolder("\(folder)/model")
                try writeText("two", to: "\(folder)/model/weights")
            }
        }
        #expect(names(run.checkpoints) == ["latest", "step-000001"])
        #expect(throws: CheckpointError.self) { try store.save(step: 3) { _ in } }
        let mine = CheckpointStore(folder: run.checkpoints, term: second)
        try mine.prepare()
        _ = try mine.save(step: 2) { try writeText("mine", to: "\($0)/state.json") }
        #expect(throws: CheckpointError.self) { try store.prune(keepLast: 1) }
        #expect(names(run.checkpoints) == ["latest", "step-000001", "step-000002"])
        #expect(readText("\(run.checkpoints)/latest/state.json") == "mine")
        try second?.check()
    }

    @Test func linesOfAnEarlierTermAreNotRecorded() throws {
        let first = try begin()
        let old = try JSONLinesFile(path: run.metrics, resumingAfter: nil, staging: first.folder)
        for step in 1...3 { try old.append("{\"step\": \(step)}") }
        let second = try take()
        let new = try JSONLinesFile(path: run.metrics, resumingAfter: 2, staging: second.folder)
        try old.append("{\"step\": 4}")
        try new.append("{\"step\": 3, \"mine\": 1}")
        try old.append("{\"step\": 5}")
        #expect(readText(run.metrics) == "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 3, \"mine\": 1}\n")
        #expect(new.keptByteCount == 24 && new.path == run.metrics)
        // One that begins late takes nobody's place.
        #expect(throws: TelemetryError.self) {
            try JSONLinesFile(path: run.metrics, resumingAfter: 0, staging: first.folder)
        }
        #expect(throws: RunFolderError.self) { try run.setAside(through: first.folder) }
        #expect(readText(run.metrics)?.hasSuffix("\"mine\": 1}\n") == true)
        #expect(try run.setAside(through: second.folder) == ["\(run.path)/metrics-1.jsonl"])
    }

    @Test func whatWasStagedIsCleared() throws {
        let first = try begin()
        try writeText("x", to: "\(first.folder)/metrics.jsonl")
        let second = try take()
        #expect(names(second.folder) == ["holder"])
        try FileTree.createFolder(first.folder)
        let third = try take()
        #expect(third.number == 3 && names("\(run.path)/terms") == ["term-000003"])
    }

    @Test func aStartThatFailsLeavesNoTerm() throws {
        let first = try begin()
        let second = try take()
        first.withdraw()
        try second.check()
        second.withdraw()
        #expect(!terms.isThere && !run.hasBegun)
    }

    @Test func twoFileSystemsAreRefused() throws {
        let shared = "/dev/shm/opd-terms-\(getpid())"
        guard mkdir(shared, 0o700) == 0 else { return }
        defer { rmdir(shared) }
        var here = stat(), there = stat()
        try #require(stat(run.path, &here) == 0 && stat(shared, &there) == 0)
        guard here.st_dev != there.st_dev else { return }
        try FileTree.remove(run.checkpoints)
        try FileTree.link(run.checkpoints, to: shared)
        #expect(throws: RunFolderError.self) { try terms.begin(host: "h", after: .seconds(30)) }
    }

    // MARK: Hostile bytes

    @Test func aRecordIsReadAsItWasWritten() throws {
        var record = TermRecord(
            holder: .max, term: 7, host: "boot@a\nhost" + String(repeating: "x", count: 300), process: 12,
            after: .seconds(30))
        record.state = .handedOver
        record.reason = "stopped by SIGTERM\nbeat 9 é" + String(repeating: "y", count: 500)
        record.beat = .max
        let bytes = record.bytes
        #expect(bytes.count == TermRecord.byteCount)
        let read = try #require(TermRecord(bytes))
        #expect(read.bytes == bytes && read.beat == .max && read.state == .handedOver && read.host == record.host)
        #expect(read.owner.hasPrefix("term 7, process 12 at ahost"))
    }

    @Test func whatIsNoRecordIsNone() throws {
        let bytes = TermRecord(holder: 5, term: 7, host: "b@h", process: 1, after: .seconds(30)).bytes
        for place in bytes.indices {
            var other = bytes
            other[place] ^= 1
            #expect(TermRecord(other) == nil, "byte \(place)")
        }
        for count in [0, 1, 512, 1023] { #expect(TermRecord(Array(bytes[..<count])) == nil) }
        #expect(TermRecord(bytes + [10]) == nil)
        let first = try begin()
        try writeText("{\"no\": \"record\"}", to: "\(first.folder)/holder")
        let sight = try #require(try terms.sight())
        #expect(sight.record == nil && !terms.isDead(sight, host: "boot@here"))
        expectLost(first)
        try take().check()
    }
}

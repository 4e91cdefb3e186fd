import Distillation
import Foundation
import TestSupport
import Testing
import Transport
import Wire

/// A Python with pyzmq: `OPD_PYTHON`, or python3 on the path.
private enum Python {
    static let executable: String? = {
        let name = ProcessInfo.processInfo.environment["OPD_PYTHON"] ?? "python3"
        let probe = process([name, "-c", "import zmq"])
        probe.standardError = FileHandle.nullDevice
        guard (try? probe.run()) != nil else { return nil }
        probe.waitUntilExit()
        return probe.terminationStatus == 0 ? name : nil
    }()

    static func process(_ arguments: [String]) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        return process
    }

    private static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
    static let scorer = repository.appending(path: "Examples/python/scorer.py").path
    static let tokenizer = repository.appending(path: "Tests/Fixtures/golden/bpe-qwen.tokenizer.json").path
}

/// docs/protocol.md is enough to write a scorer: this one was written from it.
@Suite(
    .enabled(if: Python.executable != nil, "no Python with pyzmq; set OPD_PYTHON to one"), .timeLimit(.minutes(5)))
struct PythonScorerTests {
    private let peer: PeerID
    private let learner: ZeroMQTransport
    private let process: Process
    private var events: TransportEvents.AsyncIterator

    init() async throws {
        learner = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", logger: .silent)
        process = Python.process([
            try #require(Python.executable), Python.scorer, "--connect", learner.endpoint, "--constant", "-1.5",
            "--teacher", "default", "--teacher", "math", "--name", "py", "--slots", "7",
            "--tokenizer", Python.tokenizer,
        ])
        try process.run()
        events = learner.events.makeAsyncIterator()
        guard case .message(.hello(let hello), let peer)? = await events.next() else {
            throw WireError(.notAMessage, "no hello came")
        }
        self.peer = peer
        #expect(hello.role == .scorer && hello.name == "py" && hello.teacher == nil)
        #expect(hello.teachers == ["default", "math"] && hello.protocolVersion == Codec.version)
        #expect(peer.description.hasPrefix("py-"))
        // As Tokenizer.fingerprint computes it, see FingerprintTests.
        #expect(
            hello.tokenizerFingerprint == "e91f95261b6d4de62e4f96aaa71c47d4504d4d932a3554189c1c5f9a427315c3")
    }

    private func welcome(epoch: UInt64) throws {
        try learner.send(
            .welcome(Welcome(runID: "r", epoch: epoch, heartbeatSeconds: 0.2, leaseSeconds: 60, version: 0)), to: peer)
    }

    /// The next message of a kind, past heartbeats and repetitions.
    private mutating func next<Value>(_ pick: (Message) -> Value?) async throws -> Value {
        while let event = await events.next() {
            if case .message(let message, _) = event, let value = pick(message) { return value }
        }
        throw WireError(.truncated, "the events ended")
    }

    private func task(_ group: UInt64, _ count: Int, prompt: Int) -> ScoreTask {
        ScoreTask(
            id: RolloutID(group: group, sample: 1), kind: .train, teacher: "math", ids: (0..<Int32(count)).map { $0 },
            promptCount: prompt, leaseID: 70 + group)
    }

    @Test mutating func gradesResendsAndFollowsTheLearner() async throws {
        try welcome(epoch: 1 << 63)
        let request = try await next { if case .leaseRequest(let request) = $0 { request } else { nil } }
        #expect(request == LeaseRequest(count: 7, epoch: 1 << 63))
        let heartbeat = try await next { if case .heartbeat(let heartbeat) = $0 { heartbeat } else { nil } }
        #expect(heartbeat.epoch == 1 << 63 && heartbeat.leaseIDs.isEmpty)
        #expect(heartbeat.status.state == "waiting for work")

        try learner.send(
            .scoreGrant(ScoreGrant(tasks: [task(1, 5, prompt: 2), task(2, 40, prompt: 1), task(3, 4, prompt: 4)])),
            to: peer)
        var graded: [RolloutID: [Float]] = [:]
        while graded.count < 3 {
            let scores = try await next { if case .scores(let scores) = $0 { scores } else { nil } }
            #expect(scores.epoch == 1 << 63)
            for score in scores.scores { graded[score.id] = score.logprobs }
        }
        #expect(graded[RolloutID(group: 1, sample: 1)] == Array(repeating: -1.5, count: 3))
        #expect(graded[RolloutID(group: 2, sample: 1)] == Array(repeating: -1.5, count: 39))
        #expect(graded[RolloutID(group: 3, sample: 1)] == [])

        // Two are acknowledged, the third comes again, alone.
        try learner.send(
            .acknowledge(
                Acknowledge(items: [1, 2].map { WorkItem(id: RolloutID(group: $0, sample: 1), kind: .train) })),
            to: peer)
        // What it sent again before it heard of that may still come.
        var again: Scores
        repeat {
            again = try await next { if case .scores(let scores) = $0 { scores } else { nil } }
        } while again.scores.contains { $0.id.group < 3 }
        #expect(again.scores.map(\.id.group) == [3])

        // Forgotten by the learner, it says hello again, and brings what was not acknowledged.
        try learner.send(.reject(Reject(code: .unknownPeer, message: "say hello first")), to: peer)
        _ = try await next { if case .hello = $0 { true } else { nil } }
        try welcome(epoch: 1 << 63)
        let kept = try await next { if case .scores(let scores) = $0 { scores } else { nil } }
        #expect(kept.scores.map(\.id.group) == [3])

        // Another learner process: what the last one asked for is void.
        try learner.send(.heartbeatReply(HeartbeatReply(epoch: 5, version: 0)), to: peer)
        _ = try await next { if case .hello = $0 { true } else { nil } }
        try welcome(epoch: 5)
        try learner.send(.scoreGrant(ScoreGrant(tasks: [task(9, 3, prompt: 1)])), to: peer)
        let fresh = try await next { if case .scores(let scores) = $0 { scores } else { nil } }
        #expect(fresh.epoch == 5 && fresh.scores.map(\.id.group) == [9])

        #expect(learner.statistics.malformed == 0)
        try learner.send(.shutdown(Shutdown(reason: "finished")), to: peer)
        #expect(await exitStatus() == 0)
        await learner.close()
    }

    @Test mutating func endsWhenRefused() async throws {
        try learner.send(.reject(Reject(code: .tokenizerMismatch, message: "another tokenizer")), to: peer)
        #expect(await exitStatus() == 1)
        await learner.close()
    }

    private func exitStatus() async -> Int32 {
        for _ in 0..<1000 where process.isRunning { try? await Task.sleep(for: .milliseconds(10)) }
        if process.isRunning { process.terminate() }
        process.waitUntilExit()
        return process.terminationStatus
    }
}

/// The same scorer, asked for more than the sampled token.
@Suite(
    .enabled(if: Python.executable != nil, "no Python with pyzmq; set OPD_PYTHON to one"), .timeLimit(.minutes(5)))
struct PythonTopTokensTests {
    @Test func itListsWhatItIsAskedFor() async throws {
        let learner = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", logger: .silent)
        let process = Python.process([
            try #require(Python.executable), Python.scorer, "--connect", learner.endpoint, "--uniform", "50",
        ])
        try process.run()
        defer {
            process.terminate()
            process.waitUntilExit()
        }
        var events = learner.events.makeAsyncIterator()
        guard case .message(.hello(let hello), let peer)? = await events.next() else {
            throw WireError(.notAMessage, "no hello came")
        }
        #expect(hello.mostTopTokens == 49 && hello.teacher?.vocabularySize == 50)
        try learner.send(
            .welcome(Welcome(runID: "r", epoch: 3, heartbeatSeconds: 0.2, leaseSeconds: 60, version: 0)), to: peer)
        var tasks = (1...2).map { group in
            ScoreTask(
                id: RolloutID(group: group, sample: 0), kind: .train, teacher: "default", ids: [1, 2, 3, 4],
                promptCount: 2, leaseID: group)
        }
        tasks[0].request = .top(4, below: 40)
        try learner.send(.scoreGrant(ScoreGrant(tasks: tasks)), to: peer)
        var graded: [UInt64: Score] = [:]
        while graded.count < 2, let event = await events.next() {
            guard case .message(.scores(let scores), _) = event else { continue }
            for score in scores.scores { graded[score.id.group] = score }
        }
        let top = try #require(graded[1]?.top)
        #expect(top.count == 4 && top.flaw(positions: 2, count: 4, vocabularySize: 40) == nil)
        #expect(abs(Double(top.tails[1]) - log(46.0 / 50)) < 1e-6)
        #expect(graded[2]?.top == nil && graded[2]?.logprobs.count == 2)
        #expect(learner.statistics.malformed == 0)
        await learner.close()
    }
}

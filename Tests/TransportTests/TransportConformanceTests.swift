import Distillation
import Engines
import Files
import Foundation
import Locking
import Logging
import TestSupport
import Testing
import Transport
import Wire

/// A way to make connected transports.
struct Link: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let learner: @Sendable (TransportOptions) throws -> any Transport
    let member: @Sendable (any Transport, String, TransportOptions) throws -> any Transport
}

/// What every transport does.
@Suite(.timeLimit(.minutes(5)))
struct TransportConformanceTests {
    static let links: [Link] = [
        Link(
            testDescription: "ZeroMQ",
            learner: { try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", options: $0, logger: .silent) },
            member: { learner, name, options in
                let endpoint = (learner as! ZeroMQTransport).endpoint
                return try ZeroMQTransport.member(
                    connect: endpoint, identity: name, options: options, logger: .silent)
            }),
        Link(
            testDescription: "in process",
            learner: { options in NetworkLearner(InProcessNetwork(options: options, logger: .silent)) },
            member: { learner, name, _ in (learner as! NetworkLearner).network.member(identity: name) }),
    ]

    @Test(arguments: links)
    func carriesEveryMessageBothWays(_ link: Link) async throws {
        let learner = try link.learner(.init())
        let member = try link.member(learner, "w", .init())
        var atLearner = learner.events.makeAsyncIterator()
        var atMember = member.events.makeAsyncIterator()
        for message in samples {
            try member.send(message)
            #expect(await atLearner.next() == .message(message, from: PeerID("w")))
            try learner.send(message, to: PeerID("w"))
            #expect(await atMember.next() == .message(message, from: .learner))
        }
        await member.close()
        await learner.close()
        // Only now: a message is counted as sent after the socket has it, when its receiver may have read it already.
        #expect(learner.statistics.messagesIn == UInt64(samples.count))
        #expect(learner.statistics.messagesOut == UInt64(samples.count))
        #expect(await atLearner.next() == nil)
        #expect(await atMember.next() == nil)
    }

    @Test(arguments: links)
    func keepsTheOrderOfManyPeers(_ link: Link) async throws {
        let (peers, count) = (20, 300)
        let learner = try link.learner(.init())
        var members: [any Transport] = []
        for index in 0..<peers { members.append(try link.member(learner, "w\(index)", .init())) }
        for number in 0..<count {
            for member in members {
                try member.send(.heartbeatReply(HeartbeatReply(epoch: 1, version: UInt64(number))))
            }
        }
        var next: [PeerID: UInt64] = [:]
        var seen = 0
        for await event in learner.events {
            guard case .message(.heartbeatReply(let reply), let peer) = event else { continue }
            #expect(reply.version == next[peer, default: 0])
            next[peer] = reply.version + 1
            seen += 1
            if seen == peers * count { break }
        }
        #expect(next.count == peers)
        for number in 0..<count {
            for index in 0..<peers {
                try learner.send(
                    .heartbeatReply(HeartbeatReply(epoch: 1, version: UInt64(number))), to: PeerID("w\(index)"))
            }
        }
        for member in members {
            var expected: UInt64 = 0
            for await event in member.events {
                guard case .message(.heartbeatReply(let reply), _) = event else { continue }
                #expect(reply.version == expected)
                expected += 1
                if expected == count { break }
            }
        }
        for member in members { await member.close() }
        await learner.close()
    }

    /// Everything, once, in order, and never more at once than a part of what may wait.
    @Test(arguments: links)
    func burstsHoldWhatEventsHold(_ link: Link) async throws {
        var options = TransportOptions()
        options.inboundMessages = 40
        let learner = try link.learner(options)
        let member = try link.member(learner, "w", options)
        let count = 500
        for number in 0..<count { try member.send(.heartbeatReply(HeartbeatReply(epoch: 1, version: UInt64(number)))) }
        var seen: [UInt64] = []
        for await burst in learner.events.bursts {
            #expect((1...10).contains(burst.count))
            for case .message(.heartbeatReply(let reply), PeerID("w")) in burst { seen.append(reply.version) }
            if seen.count == count { break }
        }
        #expect(seen == (0..<UInt64(count)).map { $0 })
        await member.close()
        await learner.close()
        for await burst in learner.events.bursts { Issue.record("\(burst.count) events after the last") }
    }

    @Test(arguments: links)
    func carriesLargeFrames(_ link: Link) async throws {
        let learner = try link.learner(.init())
        let member = try link.member(learner, "w", .init())
        let bytes = WeightBytes(count: 64 << 20) { memory in
            for offset in stride(from: 0, to: memory.count, by: 8) {
                memory.storeBytes(of: UInt64(offset) &* 0x9e37_79b9, toByteOffset: offset, as: UInt64.self)
            }
        }
        let checksum = bytes.checksum
        try member.send(.goodbye(Goodbye(reason: "hello")))
        var atLearner = learner.events.makeAsyncIterator()
        _ = await atLearner.next()
        for index in 0..<3 {
            let chunk = WeightsChunk(version: 1, index: index, checksum: checksum, payload: Frame(storage: bytes))
            try learner.send(.weightsChunk(chunk), to: PeerID("w"))
        }
        var atMember = member.events.makeAsyncIterator()
        for index in 0..<3 {
            guard case .message(.weightsChunk(let chunk), _)? = await atMember.next() else {
                Issue.record("no chunk")
                return
            }
            #expect(chunk.index == index)
            #expect(chunk.payload.withUnsafeBytes { crc32($0) } == checksum)
        }
        await member.close()
        await learner.close()
    }

    @Test(arguments: links)
    func reportsUnreachablePeers(_ link: Link) async throws {
        let learner = try link.learner(.init())
        let message = Message.shutdown(Shutdown(reason: "x"))
        try learner.send(message, to: PeerID("nobody"))
        var events = learner.events.makeAsyncIterator()
        #expect(await events.next() == .undeliverable(message, to: PeerID("nobody")))
        // A member that has left is unreachable too.
        let member = try link.member(learner, "w", .init())
        try member.send(.goodbye(Goodbye(reason: "x")))
        _ = await events.next()
        await member.close()
        var reported = false
        for _ in 0..<200 where !reported {
            try learner.send(message, to: PeerID("w"))
            try await Task.sleep(for: .milliseconds(10))
            reported = learner.statistics.undeliverable > 1
        }
        #expect(reported)
        await learner.close()
    }

    @Test(arguments: links)
    func aPeerReturnsUnderTheSameName(_ link: Link) async throws {
        let learner = try link.learner(.init())
        var events = learner.events.makeAsyncIterator()
        for round in 0..<3 {
            let member = try link.member(learner, "w", .init())
            let message = Message.goodbye(Goodbye(reason: "\(round)"))
            try member.send(message)
            #expect(await events.next() == .message(message, from: PeerID("w")))
            try learner.send(message, to: PeerID("w"))
            var atMember = member.events.makeAsyncIterator()
            #expect(await atMember.next() == .message(message, from: .learner))
            // Even rounds leave without a word: the next one takes over while the old connection may still stand.
            if round % 2 == 1 { await member.close() } else { Abandoned.keep(member) }
        }
        await learner.close()
    }

    /// A consumer that stops reading makes senders wait, not memory grow; nothing is lost when it goes on.
    @Test(arguments: links)
    func slowConsumerHoldsSendersBack(_ link: Link) async throws {
        var options = TransportOptions()
        options.inboundMessages = 10
        options.socketMessages = 5
        let learner = try link.learner(options)
        let member = try link.member(learner, "w", options)
        let payload = WeightBytes(count: 1 << 20) { $0.initializeMemory(as: UInt8.self, repeating: 1) }
        let count = 200
        for index in 0..<count {
            try member.send(
                .weightsChunk(WeightsChunk(version: 1, index: index, checksum: 0, payload: Frame(storage: payload))))
        }
        try await Task.sleep(for: .milliseconds(500))
        // The queue, at most; libzmq's and the kernel's buffers are beside it.
        #expect(learner.statistics.messagesIn <= 10)
        var seen = 0
        for await event in learner.events {
            guard case .message(.weightsChunk(let chunk), _) = event else { continue }
            #expect(chunk.index == seen)
            seen += 1
            if seen == count { break }
        }
        #expect(seen == count)
        await member.close()
        await learner.close()
    }

    /// A peer that takes nothing fills its own queue only; past its end messages are reported, and others still get theirs.
    @Test(arguments: links)
    func aStuckPeerHoldsUpNobodyElse(_ link: Link) async throws {
        var options = TransportOptions()
        options.inboundMessages = 4
        options.socketMessages = 4
        options.outboundMessages = 20
        let learner = try link.learner(options)
        let stuck = try link.member(learner, "stuck", options)
        let lively = try link.member(learner, "lively", options)
        var atLearner = learner.events.makeAsyncIterator()
        for member in [stuck, lively] { try member.send(.goodbye(Goodbye(reason: "here"))) }
        for _ in 0..<2 { _ = await atLearner.next() }
        let payload = WeightBytes(count: 4 << 20) { $0.initializeMemory(as: UInt8.self, repeating: 1) }
        for index in 0..<60 {
            try learner.send(
                .weightsChunk(WeightsChunk(version: 1, index: index, checksum: 0, payload: Frame(storage: payload))),
                to: PeerID("stuck"))
        }
        try learner.send(.shutdown(Shutdown(reason: "x")), to: PeerID("lively"))
        var atLively = lively.events.makeAsyncIterator()
        #expect(await atLively.next() == .message(.shutdown(Shutdown(reason: "x")), from: .learner))
        guard case .undeliverable(.weightsChunk, let peer)? = await atLearner.next() else {
            Issue.record("the overflow was not reported")
            return
        }
        #expect(peer == PeerID("stuck"))
        await learner.close()
        await stuck.close()
        await lively.close()
    }

    private var samples: [Message] {
        [
            .hello(
                Hello(
                    role: .rollout, name: "w", arithmetic: "a", tokenizerFingerprint: "t", processID: 1)),
            .acknowledge(Acknowledge(items: [])),
            .scoreGrant(
                ScoreGrant(tasks: [
                    ScoreTask(
                        id: RolloutID(group: 1, sample: 2), kind: .train, teacher: "t",
                        ids: Array(0..<40_000), promptCount: 10, leaseID: 4)
                ])),
            .scores(
                Scores(
                    scores: [Score(id: RolloutID(group: 1, sample: 2), kind: .train, logprobs: [-1, -2.5])],
                    epoch: 3)),
        ]
    }
}

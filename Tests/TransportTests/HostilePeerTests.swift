import Foundation
import Locking
import TestSupport
import Testing
import Transport
import Wire
import ZeroMQ

/// What peers may do to a bound learner without harm to those who behave.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct HostilePeerTests {
    private let log = LineLog()

    private func learner(_ change: (inout TransportOptions) -> Void = { _ in }) throws -> ZeroMQTransport {
        var options = TransportOptions()
        change(&options)
        return try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", options: options, logger: log.logger)
    }

    /// Runs `body` while a member that was there before asks the learner again and again; after it the member must
    /// still be answered, over the same connection and without one answer missing.
    private func besides(_ learner: ZeroMQTransport, _ body: () async throws -> Void) async throws {
        let answering = Task {
            for await event in learner.events {
                guard case .message(.goodbye(let goodbye), let peer) = event else { continue }
                try learner.send(.shutdown(Shutdown(reason: goodbye.reason)), to: peer)
            }
        }
        let member = try ZeroMQTransport.member(connect: learner.endpoint, identity: "good", logger: .silent)
        let ended = Locked(false)
        let asking = Task {
            var events = member.events.makeAsyncIterator()
            var number = 0
            var after = 0
            while after < 20 {
                if ended.withLock({ $0 }) { after += 1 }
                try member.send(.goodbye(Goodbye(reason: "\(number)")))
                let answer = await events.next()
                try #require(answer == .message(.shutdown(Shutdown(reason: "\(number)")), from: .learner))
                number += 1
                // Well below any rate of these tests.
                try await Task.sleep(for: .milliseconds(10))
            }
        }
        try await untilTrue { learner.statistics.messagesIn > 5 }
        try await body()
        ended.withLock { $0 = true }
        try await asking.value
        await member.close()
        answering.cancel()
    }

    @Test func garbageIsNamed() async throws {
        let learner = try learner()
        func isNamed() -> Bool {
            log.lines.contains { $0.hasPrefix("127.0.0.1:") && $0.contains(" is turned away: ") }
        }
        try await besides(learner) {
            let before = learner.statistics.messagesIn
            for bytes in [
                Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), [UInt8](repeating: 0, count: 4096),
                [UInt8](repeating: 0xff, count: 4096), RawPeer.greeting + [UInt8](repeating: 0x41, count: 4096),
            ] {
                let peer = try RawPeer(learner.endpoint)
                await peer.send(bytes)
                shutdown(peer.descriptor, Int32(SHUT_WR))
                #expect(await peer.waitForEnd())
            }
            try await untilTrue { learner.statistics.refused >= 4 && learner.statistics.messagesIn > before }
            // One that has gone before the learner looks at it has no address any more.
            while !isNamed() {
                let peer = try RawPeer(learner.endpoint)
                await peer.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        await learner.close()
    }

    @Test func aPeerThatFallsSilentInItsHandshakeIsCut() async throws {
        let learner = try learner { $0.connections.handshake = .milliseconds(300) }
        try await besides(learner) {
            for bytes in [[], [0xff], RawPeer.greeting] {
                let peer = try RawPeer(learner.endpoint)
                await peer.send(bytes)
                #expect(await peer.waitForEnd())
            }
            try await untilTrue { learner.statistics.refused >= 3 }
        }
        #expect(log.lines.contains { $0.contains("had not finished its handshake") })
        await learner.close()
    }

    @Test func aPeerThatSaysNothingAfterItsHandshakeIsCut() async throws {
        let learner = try learner { $0.connections.proof = .seconds(2) }
        try await besides(learner) {
            let silent = try RawPeer(learner.endpoint)
            await silent.shakeHands()
            let babbling = try RawPeer(learner.endpoint)
            await babbling.shakeHands()
            await babbling.send(RawPeer.frame(Array("hello?".utf8), more: false))
            #expect(await silent.waitForEnd())
            #expect(await babbling.waitForEnd())
            try await untilTrue { learner.statistics.refused >= 2 && learner.statistics.malformed == 1 }
        }
        #expect(log.lines.contains { $0.contains("has said nothing that counts") })
        await learner.close()
    }

    /// 10 GB are announced; nothing is allocated, and the connection ends at the header.
    @Test func aFrameOf10GBEndsTheConnection() async throws {
        let learner = try learner()
        let before = residentBytes()
        try await besides(learner) {
            let inHandshake = try RawPeer(learner.endpoint)
            await inHandshake.send(RawPeer.greeting + RawPeer.header(count: 10 << 30))
            let first = try RawPeer(learner.endpoint)
            await first.shakeHands()
            await first.send(RawPeer.header(count: 10 << 30))
            let beyond = try RawPeer(learner.endpoint)
            await beyond.shakeHands()
            await beyond.send(RawPeer.header(count: .max))
            for peer in [inHandshake, first, beyond] { #expect(await peer.waitForEnd()) }
            try await untilTrue { learner.statistics.refused >= 3 }
            // One that has gone before its address could be read has none to be told by.
            #expect(log.lines.contains { $0.hasPrefix("127.0.0.1:") && $0.contains(tooLarge) }, "\(log.lines)")
        }
        #expect(log.lines.contains { $0.hasPrefix("127.0.0.1:") && $0.contains(tooLarge) })
        #expect(residentBytes() - before < 1 << 30)
        await learner.close()
    }

    private var tooLarge: String { "it sent a frame above \(WireLimits.standard.frameBytes) bytes" }

    /// The peer was heard before, and libzmq tells nothing of it but that it is gone.
    @Test func aFrameOf10GBAfterAMessageIsCountedAndNamed() async throws {
        let learner = try learner()
        try await besides(learner) {
            // One that says something and goes is no news.
            let leaving = try RawPeer(learner.endpoint)
            await leaving.shakeHands(identity: "leaving")
            await leaving.send(try goodbye("leaving"))
            #expect(await leaving.waitForBytes(), "it was answered")
            shutdown(leaving.descriptor, Int32(SHUT_WR))
            #expect(await leaving.waitForEnd())
            let peer = try RawPeer(learner.endpoint)
            await peer.shakeHands(identity: "proven")
            await peer.send(try goodbye("proven"))
            #expect(await peer.waitForBytes(), "it was answered")
            await peer.send(RawPeer.header(count: 10 << 30))
            #expect(await peer.waitForEnd())
            try await untilTrue { learner.statistics.refused == 1 }
        }
        #expect(log.lines.count == 1 && log.lines[0].contains("is turned away: \(tooLarge)"), "\(log.lines)")
        await learner.close()
    }

    private func goodbye(_ reason: String) throws -> [UInt8] {
        let frames = try Codec.encode(.goodbye(Goodbye(reason: reason)))
        return frames.enumerated().flatMap { RawPeer.frame($1.array, more: $0 + 1 < frames.count) }
    }

    @Test func halfOpenConnectionsMakeRoomForOthers() async throws {
        let learner = try learner { $0.connections.unproven = 50 }
        try await besides(learner) {
            var peers: [RawPeer] = []
            for index in 0..<300 {
                peers.append(try RawPeer(learner.endpoint))
                if index % 3 == 1 { await peers[index].send([0xff]) }
                if index % 3 == 2 { await peers[index].send(RawPeer.greeting) }
            }
            try await untilTrue { learner.statistics.refused >= 250 }
            // A newcomer gets through while they stand.
            let late = try ZeroMQTransport.member(connect: learner.endpoint, identity: "late", logger: .silent)
            try late.send(.goodbye(Goodbye(reason: "question")))
            var events = late.events.makeAsyncIterator()
            #expect(await events.next() == .message(.shutdown(Shutdown(reason: "question")), from: .learner))
            await late.close()
            #expect(await peers[0].waitForEnd())
        }
        #expect(log.lines.count { $0.contains("had said nothing that counts") } == 1, "\(log.lines)")
        await learner.close()
    }

    @Test func aFloodOfValidMessagesIsThinned() async throws {
        let learner = try learner { ($0.connections.messagesPerSecond, $0.connections.messageBurst) = (200, 500) }
        let heartbeat = try Codec.encode(
            .heartbeat(Heartbeat(status: MemberStatus(state: ""), epoch: 1)))
        let bytes = heartbeat.enumerated().flatMap {
            RawPeer.frame($0.element.array, more: $0.offset + 1 < heartbeat.count)
        }
        try await besides(learner) {
            let peer = try RawPeer(learner.endpoint)
            await peer.shakeHands(identity: "flood")
            let block = Array((0..<1000).map { _ in bytes }.joined())
            for _ in 0..<50 { #expect(await peer.send(block)) }
            try await untilTrue { learner.statistics.throttled > 40_000 }
            // What the rate allows was taken.
            #expect(learner.statistics.messagesIn >= 500)
        }
        #expect(log.lines.filter { $0.contains("sends more messages than any member needs") }.count == 1)
        #expect(log.lines.contains { $0.hasPrefix("flood at 127.0.0.1:") })
        await learner.close()
    }

    /// Frames without a last one wait in libzmq, where no limit on messages counts them.
    @Test func aMessageWithoutAnEndIsCut() async throws {
        let learner = try learner { $0.connections.pendingBytes = 32 << 20 }
        try await besides(learner) {
            let peer = try RawPeer(learner.endpoint)
            await peer.shakeHands()
            let frame = RawPeer.frame([UInt8](repeating: 0, count: 1 << 20), more: true)
            var sent = 0
            while sent < 4096, await peer.send(frame) { sent += 1 }
            #expect(sent < 4096)
            try await untilTrue { learner.statistics.refused >= 1 }
        }
        #expect(log.lines.contains { $0.contains("MiB have come that are not the end of a message") })
        await learner.close()
    }

    private func residentBytes() -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
    }
}

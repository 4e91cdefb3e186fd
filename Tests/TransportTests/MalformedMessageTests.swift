import Foundation
import Locking
import Logging
import TestSupport
import Testing
import Transport
import Wire
import ZeroMQ

@Suite(.timeLimit(.minutes(5)))
struct MalformedMessageTests {
    /// Whatever a peer sends, the learner counts it, says so once, and goes on.
    @Test func areCountedLoggedOnceAndDropped() async throws {
        let log = LineLog()
        let learner = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", logger: log.logger)
        let context = try Context()
        let peers = try ["bad-1", "bad-2"].map { name in
            let socket = try Socket(context, .dealer)
            try socket.setRoutingID(Array(name.utf8))
            try socket.set(.linger, to: 1000)
            try socket.connect(learner.endpoint)
            return socket
        }
        for socket in peers {
            for frames in [
                [[]], [[1, 2, 3]], [Array("HTTP".utf8), []], [[0x4f, 0x50, 0x44, 9], []],
                [[0x4f, 0x50, 0x44, 2], [0xff, 0xff, 0xff]], Array(repeating: [0x4f], count: 1000),
            ] {
                try socket.send(frames)
            }
        }
        let good = try ZeroMQTransport.member(connect: learner.endpoint, identity: "good", logger: .silent)
        try good.send(.goodbye(Goodbye(reason: "x")))
        var events = learner.events.makeAsyncIterator()
        #expect(await events.next() == .message(.goodbye(Goodbye(reason: "x")), from: PeerID("good")))
        for _ in 0..<200 where learner.statistics.malformed < 12 { try await Task.sleep(for: .milliseconds(10)) }
        #expect(learner.statistics.malformed == 12)
        #expect(log.lines.count == 2, "\(log.lines)")
        #expect(log.lines.contains { $0.hasPrefix("bad-1: malformed message dropped: ") })
        // Optimised code lets go of what it has used for the last time, and a peer that leaves is told of.
        withExtendedLifetime(peers) {}
        await good.close()
        await learner.close()
    }

    /// libzmq breaks off a connection that sends a frame above the limit; others are not touched.
    @Test func oversizedFramesEndTheConnectionOnly() async throws {
        var options = TransportOptions()
        options.limits.frameBytes = 1 << 20
        options.limits.headerBytes = 1 << 20
        let learner = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", options: options, logger: .silent)
        let bad = try Socket(Context(), .dealer)
        try bad.connect(learner.endpoint)
        try bad.send([[0x4f, 0x50, 0x44, 2], Array(repeating: 0, count: 2 << 20)])
        let good = try ZeroMQTransport.member(connect: learner.endpoint, identity: "good", logger: .silent)
        try await Task.sleep(for: .milliseconds(100))
        try good.send(.goodbye(Goodbye(reason: "x")))
        var events = learner.events.makeAsyncIterator()
        #expect(await events.next() == .message(.goodbye(Goodbye(reason: "x")), from: PeerID("good")))
        await good.close()
        await learner.close()
    }

    @Test func portInUseIsOneLine() async throws {
        let learner = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", logger: .silent)
        let error = #expect(throws: ZeroMQError.self) {
            try ZeroMQTransport.learner(bind: learner.endpoint, logger: .silent)
        }
        #expect(error?.description.contains("is already in use by another process") == true)
        await learner.close()
    }

    /// A peer that is killed while its messages wait unread takes nobody with it: with libzmq's own heartbeats the
    /// process would abort here.
    @Test func aPeerDiesWhileTheConsumerIsSlow() async throws {
        var options = TransportOptions()
        options.inboundMessages = 1
        options.socketMessages = 1
        let learner = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", options: options, logger: .silent)
        do {
            let dying = try Socket(Context(), .dealer)
            try dying.setRoutingID(Array("dying".utf8))
            try dying.set(.receiveHighWaterMark, to: 1)
            try dying.connect(learner.endpoint)
            let frames = try Codec.encode(.goodbye(Goodbye(reason: String(repeating: "x", count: 4000))))
            for _ in 0..<400 { try dying.send(frames.map(\.array)) }
            try await Task.sleep(for: .milliseconds(200))
            // Closing with unread data resets the connection, as a kill does.
            for _ in 0..<20 {
                try learner.send(.goodbye(Goodbye(reason: String(repeating: "y", count: 4000))), to: PeerID("dying"))
            }
            try await Task.sleep(for: .milliseconds(200))
            dying.close()
        }
        try await Task.sleep(for: .milliseconds(2500))
        let good = try ZeroMQTransport.member(connect: learner.endpoint, identity: "good", logger: .silent)
        try good.send(.goodbye(Goodbye(reason: "alive")))
        for await event in learner.events
        where event == .message(.goodbye(Goodbye(reason: "alive")), from: PeerID("good")) {
            break
        }
        await good.close()
        await learner.close()
    }

    /// A member may start before its learner, and finds a learner that came back.
    @Test func membersOutliveTheLearner() async throws {
        let probe = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", logger: .silent)
        let endpoint = probe.endpoint
        await probe.close()
        let member = try ZeroMQTransport.member(connect: endpoint, identity: "w", logger: .silent)
        for round in 0..<2 {
            let message = Message.goodbye(Goodbye(reason: "\(round)"))
            let learner = try ZeroMQTransport.learner(bind: endpoint, logger: .silent)
            // What was on its way when the last learner went is lost, so say it until it is heard.
            let sending = Task {
                while !Task.isCancelled {
                    try member.send(message)
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            var events = learner.events.makeAsyncIterator()
            while let event = await events.next(), event != .message(message, from: PeerID("w")) {}
            sending.cancel()
            await learner.close()
        }
        await member.close()
    }
}

/// A log handler that keeps its lines.
final class LineLog: Sendable {
    private let kept = Locked<[String]>([])
    var lines: [String] { kept.withLock { $0 } }
    var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }

    private struct Handler: LogHandler {
        let log: LineLog
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .info
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            log.kept.withLock { $0.append("\(event.message)") }
        }
    }
}

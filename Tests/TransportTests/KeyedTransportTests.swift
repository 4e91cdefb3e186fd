import Distillation
import Engines
import Foundation
import Logging
import TestSupport
import Testing
import Transport
import Wire
import ZeroMQ

/// A learner that lets in one worker's key and one scorer's.
struct KeyedRun: Sendable {
    let learnerPair = try! CurveKeyPair.generate()
    let worker = try! CurveKeyPair.generate()
    let scorer = try! CurveKeyPair.generate()
    let log = LineLog()

    func learner(_ options: TransportOptions = .init()) throws -> ZeroMQTransport {
        let policy = AccessPolicy(rollout: [worker.publicKey], scorer: [scorer.publicKey])
        return try ZeroMQTransport.learner(
            bind: "tcp://127.0.0.1:*", keys: LearnerKeys(keys: learnerPair, policy: policy), options: options,
            logger: log.logger)
    }

    func member(
        _ learner: ZeroMQTransport, _ pair: CurveKeyPair, server: CurveKey? = nil, logger: Logger = .silent
    ) throws -> ZeroMQTransport {
        try ZeroMQTransport.member(
            connect: learner.endpoint, identity: "unused",
            keys: MemberKeys(keys: pair, learner: server ?? learnerPair.publicKey), logger: logger)
    }

    /// A socket of any kind that has a key.
    func socket(_ learner: ZeroMQTransport, _ pair: CurveKeyPair, routingID: [UInt8]? = nil) throws -> Socket {
        let socket = try Socket(Context(), .dealer)
        if let routingID { try socket.setRoutingID(routingID) }
        try socket.setCurveClient(pair, server: learnerPair.publicKey)
        try socket.set(.linger, to: 1000)
        try socket.set(.receiveTimeout, to: 10_000)
        try socket.connect(learner.endpoint)
        return socket
    }
}

/// Waits until `condition` holds; tests have a time limit.
func untilTrue(_ condition: () -> Bool) async throws {
    while !condition() { try await Task.sleep(for: .milliseconds(10)) }
}

@Suite(.enabled(if: Context.supports("curve"), "libzmq was built without CURVE"), .timeLimit(.minutes(5)))
struct KeyedTransportTests {
    private let run = KeyedRun()

    private func frames(_ message: Message) throws -> [[UInt8]] { try Codec.encode(message).map(\.array) }

    /// The learner still serves a member with the right key.
    private func expectService(_ learner: ZeroMQTransport, _ events: inout TransportEvents.AsyncIterator) async throws {
        let member = try run.member(learner, run.worker)
        try member.send(AccessPolicyTests.hello(.rollout, name: "good"))
        while let event = await events.next() {
            guard case .message(let message, let peer) = event,
                message == AccessPolicyTests.hello(.rollout, name: "good")
            else { continue }
            #expect(peer.key == run.worker.publicKey.text)
            try learner.send(.shutdown(Shutdown(reason: "x")), to: peer)
            break
        }
        var atMember = member.events.makeAsyncIterator()
        #expect(await atMember.next() == .message(.shutdown(Shutdown(reason: "x")), from: .learner))
        await member.close()
    }

    @Test func bothRolesTalkUnderTheirKeys() async throws {
        let learner = try run.learner()
        var events = learner.events.makeAsyncIterator()
        for (pair, role) in [(run.worker, Role.rollout), (run.scorer, .scorer)] {
            let member = try run.member(learner, pair)
            try member.send(AccessPolicyTests.hello(role))
            guard case .message(let message, let peer)? = await events.next() else { return }
            #expect(message == AccessPolicyTests.hello(role))
            #expect(peer.key == pair.publicKey.text)
            let payload = WeightBytes(count: 4 << 20) { $0.initializeMemory(as: UInt8.self, repeating: 7) }
            let chunk = Message.weightsChunk(
                WeightsChunk(version: 1, index: 0, checksum: 1, payload: Frame(storage: payload)))
            try learner.send(chunk, to: peer)
            var atMember = member.events.makeAsyncIterator()
            #expect(await atMember.next() == .message(chunk, from: .learner))
            await member.close()
        }
        #expect(learner.statistics.refused == 0 && run.log.lines.isEmpty)
        await learner.close()
    }

    @Test func anUnknownKeyIsTurnedAway() async throws {
        let learner = try run.learner()
        var events = learner.events.makeAsyncIterator()
        let stranger = try CurveKeyPair.generate()
        let log = LineLog()
        let member = try run.member(learner, stranger, logger: log.logger)
        try member.send(AccessPolicyTests.hello(.rollout))
        try await untilTrue { learner.statistics.refused >= 1 && !log.lines.isEmpty }
        try await expectService(learner, &events)
        #expect(learner.statistics.messagesIn == 1)
        #expect(run.log.lines.count == 1)
        let text = "its key \(stranger.publicKey) is in no list of clients"
        #expect(run.log.lines.first?.hasPrefix("127.0.0.1 is turned away: \(text)") == true)
        #expect(log.lines.count == 1 && log.lines[0].contains(stranger.publicKey.text))
        #expect(!log.lines[0].contains(stranger.secretKey.text))
        await member.close()
        await learner.close()
    }

    @Test func aClientInPlainTextIsTurnedAway() async throws {
        let learner = try run.learner()
        var events = learner.events.makeAsyncIterator()
        let log = LineLog()
        let member = try ZeroMQTransport.member(connect: learner.endpoint, identity: "w", logger: log.logger)
        try member.send(AccessPolicyTests.hello(.rollout))
        try await untilTrue { learner.statistics.refused >= 1 && !log.lines.isEmpty }
        try await expectService(learner, &events)
        #expect(learner.statistics.messagesIn == 1)
        #expect(run.log.lines.contains { $0.contains("one side uses keys") || $0.contains("one without keys") })
        #expect(log.lines.contains { $0.contains("wants keys") })
        await member.close()
        await learner.close()
    }

    /// A worker gives nothing away to another process that sits at the learner's address.
    @Test func aMemberTalksToItsLearnerOnly() async throws {
        let learner = try run.learner()
        var events = learner.events.makeAsyncIterator()
        let member = try run.member(learner, run.worker, server: CurveKeyPair.generate().publicKey)
        try member.send(AccessPolicyTests.hello(.rollout))
        try await untilTrue { learner.statistics.refused >= 1 }
        #expect(run.log.lines.contains { $0.contains("it has another public key for this learner") })
        let open = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", logger: .silent)
        let log = LineLog()
        let other = try run.member(open, run.worker, logger: log.logger)
        try other.send(AccessPolicyTests.hello(.rollout))
        // Which side hangs up first is chance, and so who says what is wrong.
        try await untilTrue {
            log.lines.contains { $0.contains("the learner has no keys") || $0.contains("the handshake was broken off") }
        }
        #expect(open.statistics.messagesIn == 0)
        try await expectService(learner, &events)
        for transport in [member, other, open, learner] { await transport.close() }
    }

    @Test func aKeyIsGoodForItsRoleOnly() async throws {
        let learner = try run.learner()
        var events = learner.events.makeAsyncIterator()
        let scorer = try run.member(learner, run.scorer)
        try scorer.send(AccessPolicyTests.hello(.rollout))
        var atScorer = scorer.events.makeAsyncIterator()
        guard case .message(.reject(let reject), _)? = await atScorer.next() else {
            Issue.record("no answer")
            return
        }
        #expect(reject.code == .notAllowed && reject.message.contains("not of a rollout worker"))
        try scorer.send(.weightsRequest(WeightsRequest(version: 1, firstChunk: 0, credit: 1)))
        let worker = try run.member(learner, run.worker)
        try worker.send(.scores(Scores(scores: [], epoch: 1)))
        try worker.send(.scores(Scores(scores: [], epoch: 1)))
        try worker.send(.welcome(Welcome(runID: "", epoch: 1, heartbeatSeconds: 1, leaseSeconds: 1, version: 0)))
        try await untilTrue { learner.statistics.refused == 5 }
        try await expectService(learner, &events)
        #expect(learner.statistics.messagesIn == 1)
        #expect(run.log.lines.count == 4, "\(run.log.lines)")
        #expect(run.log.lines.allSatisfy { $0.hasPrefix("key ") && $0.contains(" at 127.0.0.1:") })
        for transport in [scorer, worker, learner] { await transport.close() }
    }

    /// A process of another version reads no other answer.
    @Test func aHelloThatIsRefusedIsAnsweredInItsVersion() async throws {
        let learner = try run.learner(), scorer = try run.socket(learner, run.scorer)
        var hello = try frames(AccessPolicyTests.hello(.rollout))
        hello[0][3] = 1
        try scorer.send(hello)
        let answer = try scorer.receive().map { Frame(storage: $0) }
        #expect(answer[0].array == [0x4f, 0x50, 0x44, 1])
        let inThis = [Frame([0x4f, 0x50, 0x44, UInt8(Codec.version)])] + answer.dropFirst()
        guard case .reject(let reject) = try Codec.decode(inThis) else {
            Issue.record("another answer")
            return
        }
        #expect(reject.code == .notAllowed)
        scorer.close()
        await learner.close()
    }

    /// What a peer with a good key sends after a valid message is no less looked at.
    @Test func aFrameOf10GBFromAKnownKeyIsCountedAndNamed() async throws {
        let learner = try run.learner()
        var events = learner.events.makeAsyncIterator()
        let worker = try run.socket(learner, run.worker)
        try worker.send(frames(AccessPolicyTests.hello(.rollout)))
        guard case .message(_, let peer)? = await events.next() else { return }
        // An answer goes the whole way: the handshake is over, and nothing is half written.
        try learner.send(.shutdown(Shutdown(reason: "x")), to: peer)
        _ = try worker.receive()
        let header = RawPeer.header(count: 10 << 30)
        let sent = Self.connections(to: learner.endpoint).map { send($0, header, header.count, Int32(MSG_NOSIGNAL)) }
        #expect(sent == [header.count])
        try await untilTrue { learner.statistics.refused == 1 }
        #expect(run.log.lines.count == 1, "\(run.log.lines)")
        #expect(run.log.lines[0].hasSuffix("bytes, or what is no frame; further times are only counted"))
        worker.close()
        try await expectService(learner, &events)
        await learner.close()
    }

    /// Descriptors of this process's own that are connected to an endpoint.
    private static func connections(to endpoint: String) -> [Int32] {
        let port = endpoint.split(separator: ":").last.flatMap { UInt16($0) }
        return (3..<4096).filter { descriptor in
            var address = sockaddr_in()
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let status = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &length) }
            }
            return status == 0 && address.sin_family == sa_family_t(AF_INET) && address.sin_port.bigEndian == port
        }
    }

    /// With keys routing ids are the learner's to give: neither a name nor the id of a connection can be taken.
    @Test func noPeerTakesTheRoutingIDOfAnother() async throws {
        let learner = try run.learner()
        var events = learner.events.makeAsyncIterator()
        let worker = try run.member(learner, run.worker)
        let hello = AccessPolicyTests.hello(.rollout, name: "victim")
        try worker.send(hello)
        guard case .message(_, let victim)? = await events.next() else { return }
        #expect(victim.bytes.count == 5 && victim.bytes[0] == 0)
        // A thief with a scorer's key names itself after it, which is refused,
        let named = try run.socket(learner, run.scorer, routingID: Array("victim".utf8))
        try named.send(frames(AccessPolicyTests.hello(.scorer)))
        try await untilTrue { learner.statistics.refused == 1 }
        #expect(run.log.lines.contains { $0.contains("it sets a routing id") })
        // and what is for the victim reaches the victim.
        let message = Message.shutdown(Shutdown(reason: "for the victim"))
        try learner.send(message, to: victim)
        var atWorker = worker.events.makeAsyncIterator()
        #expect(await atWorker.next() == .message(message, from: .learner))
        named.close()
        for transport in [worker, learner] { await transport.close() }
    }
}

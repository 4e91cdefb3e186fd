import Locking
import Relaying
import TestSupport
import Testing
import Transport
import Wire

/// A learner that welcomes everybody, answers heartbeats and hands out one version, and relays before it.
private final class Chain: Sendable {
    let version = Version(number: 5, byteCount: 1000)
    let learner: ZeroMQTransport
    private let received = Locked<[Message]>([])
    private let peers = Locked<Set<PeerID>>([])

    init() throws {
        learner = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", logger: .silent)
        Task { [learner, version, received, peers] in
            for await event in learner.events {
                guard case .message(let message, let peer) = event else { continue }
                received.withLock { $0.append(message) }
                _ = peers.withLock { $0.insert(peer) }
                switch message {
                case .hello:
                    let welcome = Welcome(
                        runID: "r", epoch: 7, heartbeatSeconds: 1, leaseSeconds: 1, version: version.number)
                    try learner.send(.welcome(welcome), to: peer)
                    try learner.send(.weightsAnnounce(version.announce), to: peer)
                case .weightsRequest(let request):
                    for reply in version.replies(to: request) { try learner.send(reply, to: peer) }
                case .heartbeat(let beat):
                    let reply = HeartbeatReply(epoch: 7, version: beat.leaseIDs.first ?? 0)
                    try learner.send(.heartbeatReply(reply), to: peer)
                default: break
                }
            }
        }
    }

    var messages: [Message] { received.withLock { $0 } }
    var peerCount: Int { peers.withLock { $0.count } }

    /// A relay that listens, and what serves it.
    static func relay(before endpoint: String) throws -> (relay: Relay, endpoint: String, running: Task<Void, Never>) {
        let members = try ZeroMQTransport.learner(
            bind: "tcp://127.0.0.1:*", options: Relay.options, logger: .silent)
        let relay = Relay(members: members, byteLimit: 1 << 20, logger: .silent) { identity in
            try ZeroMQTransport.member(
                connect: endpoint, identity: identity, options: Relay.options, logger: .silent)
        }
        return (relay, members.endpoint, Task { await relay.run() })
    }

    /// Joins, and fetches the version as chunks.
    static func fetch(_ member: ZeroMQTransport) async throws -> [Int: WeightsChunk] {
        let hello = Message.hello(Hello(role: .rollout, name: "w", tokenizerFingerprint: nil, processID: 1))
        try member.send(hello)
        var chunks: [Int: WeightsChunk] = [:], count = Int.max
        for await event in member.events {
            switch event {
            case .message(.weightsAnnounce(let announce), _):
                count = announce.chunkCount
                // As many as a request may ask for.
                for first in stride(from: 0, to: count, by: 64) {
                    try member.send(
                        .weightsRequest(WeightsRequest(version: announce.version, firstChunk: first, credit: 64)))
                }
            case .message(.weightsChunk(let chunk), _):
                chunks[chunk.index] = chunk
                if chunks.count == count { return chunks }
            default: break
            }
        }
        return chunks
    }
}

@Suite(.timeLimit(.minutes(5))) struct RelayTests {
    private func member(_ endpoint: String, _ name: String) throws -> ZeroMQTransport {
        try ZeroMQTransport.member(connect: endpoint, identity: name, logger: .silent)
    }

    /// Through two relays in a row, as trees have them.
    @Test func weightsComeOnceForAnyNumberOfMembers() async throws {
        let chain = try Chain()
        let upper = try Chain.relay(before: chain.learner.endpoint)
        let lower = try Chain.relay(before: upper.endpoint)
        let whole = try (0..<250).map { try #require(chain.version.chunk($0)) }
        for index in 0..<5 {
            let member = try member(index < 3 ? lower.endpoint : upper.endpoint, "w\(index)")
            let chunks = try await Chain.fetch(member)
            #expect(chunks.count == 250 && whole.allSatisfy { chunks[$0.index] == $0 })
            await member.close()
        }
        #expect(chain.learner.statistics.weightBytesOut == 1000)
        #expect(await upper.relay.counters == ChunkTable.Counters(taken: 1000, served: 3000, damaged: 0))
        #expect(await lower.relay.counters == ChunkTable.Counters(taken: 1000, served: 3000, damaged: 0))
        // The learner sees the members, each by itself, and hears of every one that it fetches.
        #expect(chain.peerCount == 5)
        let ends = chain.messages.count { message in
            if case .weightsRequest(let request) = message { request.firstChunk == 250 } else { false }
        }
        #expect(ends == 4)
        await lower.relay.stop()
        await upper.relay.stop()
        _ = await (lower.running.value, upper.running.value)
        await chain.learner.close()
    }

    /// Its former connection is given up: a hello that still waited there would displace it.
    @Test func aMemberThatComesBackHasOneConnection() async throws {
        let chain = try Chain()
        let (relay, endpoint, running) = try Chain.relay(before: chain.learner.endpoint)
        let (first, other, again) = (
            try member(endpoint, "w"), try member(endpoint, "v"), try member(endpoint, "w~2")
        )
        for each in [first, other] { _ = try await Chain.fetch(each) }
        #expect(await relay.memberCount == 2)
        _ = try await Chain.fetch(again)
        #expect(await relay.memberCount == 2)
        for each in [first, other, again] { await each.close() }
        await relay.stop()
        await running.value
        await chain.learner.close()
    }

    @Test func everythingElsePassesAsItIs() async throws {
        let chain = try Chain()
        let (relay, endpoint, running) = try Chain.relay(before: chain.learner.endpoint)
        let (a, b) = (try member(endpoint, "a"), try member(endpoint, "b"))
        _ = try await Chain.fetch(a)
        _ = try await Chain.fetch(b)
        let beats = (0..<50).map { number in
            Message.heartbeat(
                Heartbeat(
                    status: MemberStatus(state: "busy \(number)", tokens: 1, tokensPerSecond: 2, version: 5),
                    leaseIDs: [UInt64(number)], epoch: 7))
        }
        for beat in beats { try a.send(beat) }
        // What is meant for one comes to that one, in its order.
        var replies: [UInt64] = []
        for await event in a.events {
            if case .message(.heartbeatReply(let reply), _) = event { replies.append(reply.version) }
            if replies.count == beats.count { break }
        }
        #expect(replies == Array(0..<50))
        let passed = chain.messages.filter { if case .heartbeat = $0 { true } else { false } }
        #expect(passed == beats)
        await a.close()
        await b.close()
        await relay.stop()
        await running.value
        await chain.learner.close()
    }

    @Test func aMemberWhoseRelayDiesGoesOnWithTheLearner() async throws {
        let chain = try Chain()
        let (relay, endpoint, running) = try Chain.relay(before: chain.learner.endpoint)
        let member = try ZeroMQTransport.member(
            connect: [endpoint, chain.learner.endpoint], identity: "w", logger: .silent)
        #expect(try await Chain.fetch(member).count == 250)
        await relay.stop()
        await running.value
        let before = chain.peerCount
        // The hello before the learner's endpoint is taken is lost, as any on a connection that breaks.
        let asking = Task {
            while !Task.isCancelled {
                try member.send(.statusRequest)
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        while chain.peerCount == before { try await Task.sleep(for: .milliseconds(20)) }
        asking.cancel()
        #expect(try await Chain.fetch(member).count == 250)
        await member.close()
        await chain.learner.close()
    }
}

import Distillation
import Testing
import Transport
import Wire
import ZeroMQ

@Suite struct AccessPolicyTests {
    private static let worker = try! CurveKeyPair.generate().publicKey
    private static let scorer = try! CurveKeyPair.generate().publicKey
    private static let both = try! CurveKeyPair.generate().publicKey
    private static let unknown = try! CurveKeyPair.generate().publicKey
    private static let policy = AccessPolicy(rollout: [worker, both], scorer: [scorer, both])

    static func hello(_ role: Role, name: String = "x") -> Message {
        .hello(
            Hello(
                role: role, name: name, tokenizerFingerprint: nil,
                teachers: role == .scorer ? ["default"] : [], processID: 1))
    }

    private static let heartbeat = Message.heartbeat(
        Heartbeat(status: MemberStatus(state: ""), epoch: 1))
    /// Every kind of message, and who may send it.
    private static let table: [(message: Message, worker: Bool, scorer: Bool)] = [
        (hello(.rollout), true, false), (hello(.scorer), false, true), (heartbeat, true, true),
        (.leaseRequest(LeaseRequest(count: 1, epoch: 1)), true, true), (.goodbye(Goodbye(reason: "")), true, true),
        (.trajectories(Trajectories(trajectories: [], epoch: 1)), true, false),
        (.weightsRequest(WeightsRequest(version: 1, firstChunk: 0, credit: 1)), true, false),
        (.scores(Scores(scores: [], epoch: 1)), false, true),
        (
            .welcome(Welcome(runID: "", epoch: 1, heartbeatSeconds: 1, leaseSeconds: 1, version: 0)), false,
            false
        ),
        (.reject(Reject(code: .unknownPeer, message: "")), false, false),
        (.heartbeatReply(HeartbeatReply(epoch: 1, version: 0)), false, false),
        (.shutdown(Shutdown(reason: "")), false, false), (.rolloutGrant(RolloutGrant(groups: [])), false, false),
        (.scoreGrant(ScoreGrant(tasks: [])), false, false), (.acknowledge(Acknowledge(items: [])), false, false),
        (.revoke(Revoke(items: [])), false, false),
        (
            .weightsAnnounce(
                WeightsAnnounce(
                    version: 1, manifest: WeightManifest(matrixType: .f32, byteCount: 1), chunkByteCount: 1,
                    chunkCount: 1, checksum: 0, sharedMemoryPath: nil, hostID: "")), false, false
        ),
        (.weightsChunk(WeightsChunk(version: 1, index: 0, checksum: 0, payload: Frame([0]))), false, false),
    ]

    @Test func everyMessageIsJudgedByTheKey() {
        #expect(Set(Self.table.map(\.message.name)).count == 17)
        for (message, worker, scorer) in Self.table {
            let allowed = { Self.policy.refusal(of: message, from: $0) == nil }
            #expect(allowed(Self.worker) == worker, "\(message.name) of a worker")
            #expect(allowed(Self.scorer) == scorer, "\(message.name) of a scorer")
            #expect(allowed(Self.both) == (worker || scorer), "\(message.name) of a key in both lists")
            #expect(!allowed(Self.unknown), "\(message.name) of an unknown key")
        }
    }

    @Test func onlyListedKeysAreAdmitted() {
        #expect(Self.policy.admits(Self.worker) && Self.policy.admits(Self.scorer) && Self.policy.admits(Self.both))
        #expect(!Self.policy.admits(Self.unknown))
        #expect(!AccessPolicy(rollout: [], scorer: []).admits(Self.worker))
        // A relay sends what members of either role do, and nothing that only a learner sends.
        let relay = AccessPolicy(rollout: [], scorer: [], relay: [Self.worker])
        #expect(relay.admits(Self.worker) && relay.relays == [Self.worker])
        for role in [Role.rollout, .scorer] {
            #expect(relay.refusal(of: Self.hello(role, name: "m"), from: Self.worker) == nil)
        }
        #expect(relay.refusal(of: .shutdown(Shutdown(reason: "")), from: Self.worker) != nil)
    }

    @Test func refusalsSayWhy() {
        #expect(
            Self.policy.refusal(of: Self.hello(.rollout), from: Self.scorer)
                == "its key is that of a scorer, not of a rollout worker")
        #expect(
            Self.policy.refusal(of: .scores(Scores(scores: [], epoch: 1)), from: Self.worker)
                == "its key is that of a rollout worker, which does not send scores")
    }
}

import Distillation
import Testing
import Tokens
import Wire

/// Responses in which an environment has had its say.
@Suite struct EnvironmentMessageTests {
    private func message(_ given: [Range<Int>], tokens: Int = 6, reward: Double? = nil) -> Message {
        let ids = (0..<tokens).map { Int32($0) }
        let sampled = TokenSequence(promptIDs: [], responseIDs: ids, given: given).predictedCount
        var result = RolloutResult(
            id: RolloutID(group: 1, sample: 0), kind: .train, responseIDs: ids,
            behaviourLogprobs: (0..<max(sampled, 0)).map { -Float($0) },
            policyVersions: PolicyVersions(repeating: 3, count: max(sampled, 0)), finishReason: .stop)
        result.given = given
        result.reward = reward
        return .trajectories(Trajectories(results: [result], epoch: 1))
    }

    @Test func spansAndRewardsTravel() throws {
        for (given, reward) in [
            ([], nil), ([2..<4], nil), ([1..<2, 3..<5], 0.5), ([], 0), ([1..<5], 1),
        ] as [([Range<Int>], Double?)] {
            let message = message(given, reward: reward)
            #expect(try Codec.decode(Codec.encode(message)) == message)
        }
    }

    /// A message without an environment has the bytes that it had before there were any.
    @Test func withoutAnEnvironmentNothingIsAdded() throws {
        let plain = try envelope(message([])).trajectories.trajectories[0]
        #expect(plain.environment.isEmpty && !plain.hasReward)
        let bytes: [UInt8] = try plain.serializedBytes()
        // id, kind, response_count, version_runs, finish_reason.
        let golden: [UInt8] = [0x0a, 2, 8, 1, 0x10, 1, 0x28, 6, 0x32, 4, 8, 3, 0x10, 6, 0x38, 1]
        #expect(bytes == golden)
        let hello = Hello(role: .rollout, name: "w", tokenizerFingerprint: "t", processID: 1)
        let header: [UInt8] = try envelope(.hello(hello)).hello.serializedBytes()
        #expect(!header.contains(0x92))
    }

    private func envelope(_ message: Message) throws -> PBEnvelope {
        let bytes: [UInt8] = try Codec.encode(message)[1].array
        return try PBEnvelope(serializedBytes: bytes)
    }

    /// What another language may send: spans of its own.
    private func frames(_ spans: [(start: UInt32, count: UInt32)]) throws -> [Frame] {
        var changed = try envelope(message([2..<4]))
        for span in spans {
            var header = PBTokenSpan()
            header.start = span.start
            header.count = span.count
            changed.trajectories.trajectories[0].environment.append(header)
        }
        changed.trajectories.trajectories[0].environment.removeFirst()
        var frames = try Codec.encode(message([2..<4]))
        let bytes: [UInt8] = try changed.serializedBytes()
        frames[1] = Frame(bytes)
        return frames
    }

    @Test func spansThatCannotBeAreRefused() throws {
        let wrong: [[Range<Int>]] = [
            [0..<2], [4..<6], [2..<2], [2..<4, 4..<5], [3..<5, 1..<2], [2..<4, 3..<5], [1..<9],
        ]
        for given in wrong {
            let encoded = code { try Codec.encode(message(given)) }
            #expect(encoded == .invalidValue, "\(given)")
            let spans = given.map { (start: UInt32($0.lowerBound), count: UInt32($0.count)) }
            let decoded = code { try Codec.decode(frames(spans)) }
            #expect(decoded == .invalidValue, "\(given)")
        }
        let huge = code { try Codec.decode(frames([(start: .max, count: .max)])) }
        #expect(huge == .invalidValue)
        let rewards: [Double] = [-0.1, 1.1, .nan, .infinity]
        for reward in rewards {
            let refused = code { try Codec.encode(message([2..<4], reward: reward)) }
            #expect(refused == .invalidValue)
        }
    }

    @Test func aWorkerNamesItsEnvironmentAndAGroupWhatItBeginsWith() throws {
        var hello = Hello(role: .rollout, name: "w", tokenizerFingerprint: "t", processID: 1)
        hello.environment = "guess, 4 turns"
        #expect(try Codec.decode(Codec.encode(.hello(hello))) == .hello(hello))
        var group = RolloutGroup(
            leaseID: 1, kind: .train, group: 1, samples: [0, 2], promptIDs: [1], sampling: Samples.greedy, seed: 1,
            minimumVersion: 0)
        group.episode = "{\"prompt\": \"é\"}"
        let grant = Message.rolloutGrant(RolloutGrant(groups: [group]))
        #expect(try Codec.decode(Codec.encode(grant)) == grant)
        #expect(group.tasks.map(\.episode) == [group.episode, group.episode])
        group.episode = String(repeating: "x", count: RolloutGroup.longestEpisode + 1)
        #expect(code { try Codec.encode(.rolloutGrant(RolloutGrant(groups: [group]))) } == .oversized)
    }
}

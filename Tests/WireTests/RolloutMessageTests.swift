import Distillation
import TestSupport
import Testing
import Wire

/// Rollouts that are handed out, and that come back.
@Suite struct RolloutMessageTests {
    /// Fields that came with revision 1: absent where they have no value, so that the bytes of earlier settings stay.
    @Test func stopsTravelWithTheSampling() throws {
        var sampling = SamplingSettings(maxTokens: 3, stop: ["\n\n", "é"], minTokens: 2)
        func grant() -> Message {
            .rolloutGrant(
                RolloutGrant(groups: [
                    RolloutGroup(
                        leaseID: 1, kind: .train, group: 1, samples: [0], promptIDs: [1], sampling: sampling, seed: 1,
                        minimumVersion: 0)
                ]))
        }
        let frames = try Codec.encode(grant())
        #expect(try Codec.decode(frames) == grant())
        let header = frames[1].withUnsafeBytes { Array($0) }
        let golden: [UInt8] = [0x32, 2, 0x0a, 0x0a, 0x32, 2, 0xc3, 0xa9, 0x38, 2]
        #expect(header.indices.contains { header[$0...].starts(with: golden) })
        sampling.stop = [""]
        #expect(code { try Codec.encode(grant()) } == .invalidValue)
        sampling.stop = [String(repeating: "x", count: WireLimits.standard.stringBytes + 1)]
        #expect(code { try Codec.encode(grant()) } == .oversized)
    }

    @Test func aGroupHasAPromptAndSamples() {
        let group = RolloutGroup(
            leaseID: 1, kind: .train, group: 1, samples: [0], promptIDs: [1], sampling: Samples.greedy, seed: 1,
            minimumVersion: 0)
        func code(_ change: (inout RolloutGroup) -> Void) -> WireError.Code? {
            var group = group
            change(&group)
            return WireTests.code { try Codec.encode(.rolloutGrant(RolloutGrant(groups: [group]))) }
        }
        #expect(code { _ in } == nil)
        #expect(code { $0.samples = [] } == .invalidValue)
        #expect(code { $0.promptIDs = [] } == .invalidValue)
        #expect(code { $0.samples = Array(0..<UInt32(WireLimits.standard.items) + 1) } == .oversized)
        #expect(group.tasks.map(\.id) == [RolloutID(group: 1, sample: 0)])
    }

    @Test func largeBatch() throws {
        var random = SeededRandom(seed: 1)
        let trajectories = (0..<256).map { index in
            let count = Int(random.next() % 300)
            return Trajectory(
                id: RolloutID(group: UInt64(index), sample: 3), kind: .train, teacher: "default",
                promptIDs: (0...Int(random.next() % 50)).map { Int32($0) },
                responseIDs: (0..<count).map { _ in Int32(random.next() % 50000) },
                behaviourLogprobs: (0..<count).map { _ in -Float(random.next() % 1000) / 64 },
                policyVersions: PolicyVersions((0..<count).map { UInt64($0 / 10) }), finishReason: .length,
                temperature: 1)
        }
        let message = Message.trajectories(Trajectories(trajectories: trajectories, epoch: 5))
        #expect(try Codec.decode(Codec.encode(message)) == message)
    }
}

import Testing
import Transport
import Wire
import ZeroMQ

/// Who may ask for weights where teachers are the student's earlier self.
@Suite struct FollowingScorerTests {
    @Test func scorersMayAskForWeightsWhereTheyFollowThem() throws {
        let scorer = try CurveKeyPair.generate().publicKey
        var policy = AccessPolicy(rollout: [], scorer: [scorer])
        let request = Message.weightsRequest(WeightsRequest(version: 1, firstChunk: 0, credit: 1))
        #expect(policy.refusal(of: request, from: scorer) != nil)
        policy.scorersFollowWeights = true
        #expect(policy.refusal(of: request, from: scorer) == nil)
        #expect(policy.refusal(of: .trajectories(Trajectories(results: [], epoch: 1)), from: scorer) != nil)
    }
}

import Distillation
import Testing
import Wire

/// Scorers that follow the learner's weights, and tasks that name a version.
@Suite struct EarlierSelfMessageTests {
    private let task = ScoreTask(
        id: RolloutID(group: 5, sample: 1), kind: .train, teacher: "t", ids: [1, 2, 3], promptCount: 1, leaseID: 4)

    @Test(arguments: [nil, 0, 7, .max] as [UInt64?]) func versionsArrive(version: UInt64?) throws {
        var asking = task
        asking.weightsVersion = version
        let grant = Message.scoreGrant(ScoreGrant(tasks: [asking, task]))
        #expect(try Codec.decode(Codec.encode(grant)) == grant)
    }

    @Test(arguments: [false, true]) func aHelloTellsWhetherItFollows(follows: Bool) throws {
        var hello = Hello(role: .scorer, name: "s", tokenizerFingerprint: nil, processID: 1)
        hello.followsWeights = follows
        #expect(try Codec.decode(Codec.encode(.hello(hello))) == .hello(hello))
    }

    /// A member that knows of no versions gets the very bytes that it got before there were any.
    @Test func nothingIsOnTheWireWhereTeachersNeverChange() throws {
        var asking = task
        asking.weightsVersion = 0
        let plain = try Codec.encode(.scoreGrant(ScoreGrant(tasks: [task])))
        let more = try Codec.encode(.scoreGrant(ScoreGrant(tasks: [asking])))
        #expect(plain[1].count == more[1].count - 2 && plain[2].array == more[2].array)
    }
}

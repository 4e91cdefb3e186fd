import Distillation
import Testing
import Wire

/// Grades that come with a teacher's most probable tokens, and what a stranger may send in their place.
@Suite struct TopTokensTests {
    private static let id = RolloutID(group: 5, sample: 1)

    private static func score(_ count: Int, of tokens: Int) -> Score {
        let ids = (0..<tokens).flatMap { position in (0..<count).map { Int32(position + 2 * $0) } }
        return Score(
            id: id, kind: .train, logprobs: (0..<tokens).map { -Float($0) - 0.5 },
            top: TopTokens(
                count: count, ids: ids, logprobs: ids.map { -Float($0) / 4 }, tails: (0..<tokens).map { -Float($0) - 3 }
            ))
    }

    @Test func whatIsAskedAndAnsweredArrives() throws {
        let plain = ScoreTask(id: Self.id, kind: .train, teacher: "t", ids: [1, 2, 3], promptCount: 1, leaseID: 4)
        var asking = plain
        asking.request = .top(64, below: 49152)
        let grant = Message.scoreGrant(ScoreGrant(tasks: [asking, plain]))
        #expect(try Codec.decode(Codec.encode(grant)) == grant)
        // With and without, of different numbers, in one message; a response of no token too.
        let scores = [
            Self.score(3, of: 4), Score(id: Self.id, kind: .evaluation, logprobs: [-1]), Self.score(1, of: 2),
            Self.score(2, of: 0),
        ]
        let message = Message.scores(Scores(scores: scores, epoch: 9))
        let frames = try Codec.encode(message)
        let decoded = try Codec.decode(frames)
        #expect(frames.count == 6 && decoded == message)
        let hello = Message.hello(
            Hello(role: .scorer, name: "s", tokenizerFingerprint: nil, processID: 1, mostTopTokens: 1024))
        #expect(try Codec.decode(Codec.encode(hello)) == hello)
    }

    /// A member that does not know them reads a task as one that asks for nothing more, and its grades are as ever.
    @Test func nothingMoreIsOnTheWireWhereNothingIsAsked() throws {
        let score = Score(id: Self.id, kind: .train, logprobs: [-1])
        let frames = try Codec.encode(.scores(Scores(scores: [score], epoch: 1)))
        #expect(frames.count == 3)
        let task = ScoreTask(id: Self.id, kind: .train, teacher: "t", ids: [1, 2, 3], promptCount: 1, leaseID: 4)
        var asking = task
        asking.request = .top(2, below: 9)
        let plain = try Codec.encode(.scoreGrant(ScoreGrant(tasks: [task])))
        let more = try Codec.encode(.scoreGrant(ScoreGrant(tasks: [asking])))
        #expect(plain[1].count < more[1].count && plain[2].array == more[2].array)
    }

    @Test func countsThatDisagreeAreRefused() throws {
        let frames = try Codec.encode(.scores(Scores(scores: [Self.score(3, of: 4)], epoch: 9)))
        // Each of the new frames shorter, longer, missing, or a frame of another.
        for place in 3...5 {
            let array = frames[place].array
            for changed in [Array(array.dropLast(4)), array + [0, 0, 0, 0], [], Array(array.dropLast())] {
                var wrong = frames
                wrong[place] = Frame(changed)
                #expect(code { try Codec.decode(wrong) } == .lengthMismatch)
            }
            var short = frames
            short.remove(at: place)
            #expect(code { try Codec.decode(short) } == .lengthMismatch)
        }
        var negative = frames
        negative[3] = Frame([0xff, 0xff, 0xff, 0xff] + frames[3].array.dropFirst(4))
        #expect(code { try Codec.decode(negative) } == .invalidValue)
    }

    @Test func boundsHoldOnBothSides() throws {
        func grant(_ request: GradeRequest) -> WireError.Code? {
            var task = ScoreTask(id: Self.id, kind: .train, teacher: "t", ids: [1, 2], promptCount: 1, leaseID: 1)
            task.request = request
            return code { try Codec.encode(.scoreGrant(ScoreGrant(tasks: [task]))) }
        }
        #expect(grant(.top(TopTokens.mostTokens, below: 2000)) == nil)
        #expect(grant(.top(TopTokens.mostTokens + 1, below: 2000)) == .invalidValue)
        #expect(grant(.top(0, below: 2000)) == .invalidValue && grant(.top(10, below: 9)) == .invalidValue)
        var score = Self.score(2, of: 3)
        score.logprobs.append(-1)
        #expect(code { try Codec.encode(.scores(Scores(scores: [score], epoch: 1))) } == .lengthMismatch)
        let most = Self.score(TopTokens.mostTokens + 1, of: 1)
        #expect(code { try Codec.encode(.scores(Scores(scores: [most], epoch: 1))) } == .invalidValue)
        // A header that asks for the most of everything and brings nothing takes no memory.
        let announced = try Codec.encode(.scores(Scores(scores: [Self.score(1, of: 1)], epoch: 1)))
        var header = announced[1].array
        // top_count is the score's last field: 0x20 and a varint, of which 1024 has one byte more in all lengths around.
        let place = try #require(header.lastIndex(of: 0x20))
        header[place + 1] = 0x7f
        var lying = announced
        lying[1] = Frame(header)
        #expect(code { try Codec.decode(lying) } == .lengthMismatch)
    }
}

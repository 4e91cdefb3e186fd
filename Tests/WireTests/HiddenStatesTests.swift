import Distillation
import Testing
import Wire

/// Grades that come with a teacher's last hidden states, and what a stranger may send in their place.
@Suite struct HiddenStatesTests {
    private static let id = RolloutID(group: 5, sample: 1)

    private static func score(_ size: Int, of tokens: Int, _ format: HiddenStates.Format = .bf16) -> Score {
        let count = size * tokens
        let numbers: HiddenStates.Numbers =
            format == .bf16
            ? .bf16((0..<count).map { UInt16(0x3f80 + $0 % 0x80) }) : .f32((0..<count).map { Float($0) / 3 })
        return Score(
            id: id, kind: .train, logprobs: (0..<tokens).map { -Float($0) - 0.5 },
            hidden: HiddenStates(size: size, numbers: numbers))
    }

    private func scores(_ scores: Score...) -> Message { .scores(Scores(scores: scores, epoch: 9)) }

    @Test(arguments: [HiddenStates.Format.bf16, .f32])
    func whatIsAskedAndAnsweredArrives(format: HiddenStates.Format) throws {
        let plain = ScoreTask(id: Self.id, kind: .train, teacher: "t", ids: [1, 2, 3], promptCount: 1, leaseID: 4)
        var asking = plain
        asking.request = .hidden
        let grant = Message.scoreGrant(ScoreGrant(tasks: [asking, plain]))
        #expect(try Codec.decode(Codec.encode(grant)) == grant)
        // With and without, of different sizes, in one message; a response of no token too.
        let message = scores(
            Self.score(3, of: 4, format), Score(id: Self.id, kind: .evaluation, logprobs: [-1]),
            Self.score(1, of: 2, format), Self.score(2, of: 0, format))
        let frames = try Codec.encode(message)
        #expect(try Codec.decode(frames) == message && frames.count == 4)
        #expect(frames[3].count == (12 + 2) * (format == .bf16 ? 2 : 4))
        var teacher = TeacherDescription()
        teacher.hiddenSize = HiddenStates.largestSize
        teacher.headFingerprint = "bf16 300 48 3f800000 0 1234abcd"
        let hello = Message.hello(
            Hello(role: .scorer, name: "s", tokenizerFingerprint: nil, processID: 1, teacher: teacher))
        #expect(try Codec.decode(Codec.encode(hello)) == hello)
    }

    /// The bits of a state are those that were sent, whatever they are: none is rounded or normalised.
    @Test func noBitChanges() throws {
        let odd: [UInt16] = [0, 0x8000, 1, 0x7f7f, 0xff80, 0x7fc1]
        let score = Score(
            id: Self.id, kind: .train, logprobs: [-1, -2], hidden: HiddenStates(size: 3, numbers: .bf16(odd)))
        guard case .scores(let found) = try Codec.decode(Codec.encode(scores(score))) else {
            Issue.record("no scores")
            return
        }
        #expect(found.scores.first?.hidden?.numbers == .bf16(odd) && found.scores.first?.hidden?.areFinite == false)
        #expect(try Codec.encode(scores(score))[3].array.prefix(4) == [0, 0, 0, 0x80])
    }

    @Test(arguments: [HiddenStates.Format.bf16, .f32])
    func countsThatDisagreeAreRefused(format: HiddenStates.Format) throws {
        let frames = try Codec.encode(scores(Self.score(3, of: 4, format)))
        let array = frames[3].array
        for changed in [Array(array.dropLast(4)), array + [0, 0, 0, 0], [], Array(array.dropLast())] {
            var wrong = frames
            wrong[3] = Frame(changed)
            #expect(code { try Codec.decode(wrong) } == .lengthMismatch)
        }
        #expect(code { try Codec.decode(Array(frames.dropLast())) } == .lengthMismatch)
    }

    @Test func boundsHoldOnBothSides() throws {
        let most = HiddenStates.largestSize
        #expect(code { try Codec.encode(scores(Self.score(most, of: 1))) } == nil)
        #expect(code { try Codec.encode(scores(Self.score(most + 1, of: 1))) } == .lengthMismatch)
        var short = Self.score(3, of: 4)
        short.logprobs.removeLast()
        #expect(code { try Codec.encode(scores(short)) } == .lengthMismatch)
        // One message has one kind of numbers.
        #expect(
            code { try Codec.encode(scores(Self.score(3, of: 1), Self.score(3, of: 1, .f32))) } == .invalidValue)
        var teacher = TeacherDescription()
        func hello() -> Message {
            .hello(Hello(role: .scorer, name: "s", tokenizerFingerprint: nil, processID: 1, teacher: teacher))
        }
        teacher.hiddenSize = most + 1
        #expect(code { try Codec.encode(hello()) } == .invalidValue)
        teacher.hiddenSize = most
        teacher.headFingerprint = String(repeating: "x", count: TeacherDescription.longestIdentity + 1)
        #expect(code { try Codec.encode(hello()) } == .oversized)
    }

    /// A header that announces the most of everything and brings nothing takes no memory.
    @Test func aLyingHeaderIsRefused() throws {
        let frames = try Codec.encode(scores(Self.score(1, of: 1)))
        let header = frames[1].array
        // hidden_size is the score's last field: 0x28 and a varint.
        let place = try #require(header.lastIndex(of: 0x28))
        for size: UInt8 in [0x02, 0x7f] {
            var lying = frames
            var changed = header
            changed[place + 1] = size
            lying[1] = Frame(changed)
            #expect(code { try Codec.decode(lying) } == .lengthMismatch)
        }
    }
}

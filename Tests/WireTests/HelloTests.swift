import Distillation
import Testing
import Wire

/// What members say of themselves, and what a stranger may say.
@Suite struct HelloTests {
    /// A member of another version is refused by name, in words that it can read.
    @Test func aHelloOfAnotherVersionIsReadAndAnswered() throws {
        // As version 1 of the protocol wrote it, and as a later one may, with a field more.
        let old =
            "4f504401|82013c0802120873636f7265722d311908070605040302012209626f6f7440686f7374280132016d3a017"
            + "440204a0764656661756c744a046d617468509221"
        let later = "4f5044ff|82010f080112037765772802ba3e03010203"
        for (frames, role, name, version) in [
            (old, Role.scorer, "scorer-1", 1), (later, .rollout, "wew", 255),
        ] as [(String, Role, String, UInt32)] {
            let hello = Hello(
                role: role, name: name, protocolVersion: version, tokenizerFingerprint: nil, processID: 0)
            #expect(try Codec.decode(Samples.frames(frames[...])) == .hello(hello))
            let reject = Reject(code: .protocolVersion, message: "no", protocolVersion: version)
            let answer = try Codec.encode(.reject(reject))
            #expect(answer[0].array == [0x4f, 0x50, 0x44, UInt8(version)])
            #expect(try Codec.decode(answer) == .reject(reject), "a relay passes it on")
            #expect(answer[1] == (try Codec.encode(.reject(Reject(code: .protocolVersion, message: "no"))))[1])
        }
    }

    /// What a field says of the version is for people: frame 0 decides.
    @Test func theFirstFrameTellsTheVersion() throws {
        var envelope = PBEnvelope()
        (envelope.hello.role, envelope.hello.name, envelope.hello.protocolVersion) = (.scorer, "s", 77)
        let message = try Codec.decode([Frame([0x4f, 0x50, 0x44, 2]), Frame(try envelope.serializedBytes())])
        guard case .hello(let hello) = message else { return #expect(Bool(false), "\(message) is no hello") }
        #expect(hello.protocolVersion == Codec.version && !hello.isReproducible)
    }

    @Test func addedTokensTravelAndAreBounded() throws {
        func hello(_ tokens: [String]) -> Hello {
            Hello(role: .scorer, name: "s", tokenizerFingerprint: "t", processID: 1, addedTokens: tokens)
        }
        for tokens in [[], ["7 0000 <think>", "8 1011  a\n"]] {
            #expect(try Codec.decode(Codec.encode(.hello(hello(tokens)))) == .hello(hello(tokens)))
        }
        func refused(_ tokens: [String]) -> WireError.Code? { code { _ = try Codec.encode(.hello(hello(tokens))) } }
        #expect(refused(Array(repeating: "", count: 16385)) == .oversized)
        #expect(refused([String(repeating: "x", count: 4097)]) == .oversized)
        #expect(refused(Array(repeating: String(repeating: "x", count: 4096), count: 129)) == .oversized)
        #expect(refused(Array(repeating: String(repeating: "x", count: 4096), count: 128)) == nil)
        // A member of before has none.
        var envelope = PBEnvelope()
        (envelope.hello.role, envelope.hello.name) = (.scorer, "s")
        guard
            case .hello(let old) = try Codec.decode([Frame([0x4f, 0x50, 0x44, 2]), Frame(envelope.serializedBytes())])
        else { return #expect(Bool(false), "it is no hello") }
        #expect(old.addedTokens.isEmpty)
    }

    @Test func aTeacherThatCannotBeIsRefused() throws {
        func hello(_ change: (inout TeacherDescription) -> Void) throws -> [Frame] {
            var teacher = TeacherDescription()
            change(&teacher)
            return try Codec.encode(
                .hello(Hello(role: .scorer, name: "s", tokenizerFingerprint: nil, processID: 1, teacher: teacher)))
        }
        #expect(throws: Never.self) { try hello { _ in } }
        #expect(code { try hello { $0.contextLength = -1 } } == .invalidValue)
        #expect(code { try hello { $0.vocabularySize = 1 << 31 } } == .invalidValue)
        func cost(_ perToken: Double, _ perResponseToken: Double, _ perPair: Double) -> PassCost {
            PassCost(perToken: perToken, perResponseToken: perResponseToken, perPair: perPair)
        }
        #expect(code { try hello { $0.forwardCost = cost(.infinity, 0, 0) } } == .invalidValue)
        #expect(code { try hello { $0.forwardCost = cost(1e19, 0, 0) } } == .invalidValue)
        #expect(code { try hello { $0.forwardCost = cost(1, 0, -1) } } == .invalidValue)
        #expect(code { try hello { $0.forwardCost = cost(1, .nan, 0) } } == .invalidValue)
        #expect(code { try hello { $0.templateIdentity = String(repeating: "x", count: 129) } } == .oversized)
        // What another program sends is looked at as closely.
        var envelope = PBEnvelope()
        envelope.hello.role = .scorer
        envelope.hello.name = "s"
        envelope.hello.teacher.contextLength = .max
        #expect(
            code { try Codec.decode([Frame([0x4f, 0x50, 0x44, 2]), Frame(try envelope.serializedBytes())]) }
                == .invalidValue)
        envelope.hello.teacher.contextLength = 1
        envelope.hello.teacher.operationsPerToken = .nan
        #expect(
            code { try Codec.decode([Frame([0x4f, 0x50, 0x44, 2]), Frame(try envelope.serializedBytes())]) }
                == .invalidValue)
    }
}

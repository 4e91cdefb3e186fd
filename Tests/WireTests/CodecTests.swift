import Distillation
import TestSupport
import Testing
import Wire

@Suite struct CodecTests {
    @Test(arguments: Samples.all)
    func roundTrip(_ message: Message) throws {
        #expect(try Codec.decode(Codec.encode(message)) == message)
    }

    /// The bytes of every message are fixed: a peer of another build must understand them.
    @Test func goldenBytes() throws {
        let golden = Golden.bytes.split(separator: "\n")
        #expect(golden.count == Samples.all.count)
        for (message, line) in zip(Samples.all, golden) {
            let fields = line.split(separator: " ")
            #expect(fields[0] == message.name)
            #expect(Samples.hex(try Codec.encode(message)) == fields[1], "\(message.name)")
            #expect(try Codec.decode(Samples.frames(fields[1])) == message)
        }
    }

    /// Cutting a message anywhere gives an error or, where the rest is a shorter valid header, another message; never
    /// a crash, and never the same message.
    @Test(arguments: Samples.all)
    func truncatedAtEveryByte(_ message: Message) throws {
        let frames = try Codec.encode(message)
        for index in frames.indices {
            for count in 0..<frames[index].count {
                var cut = frames
                cut[index] = Frame(Array(frames[index].array.prefix(count)))
                if let other = try? Codec.decode(cut) {
                    #expect(index == 1 && other != message, "\(message.name): frame \(index) cut to \(count) bytes")
                }
                if index != 1 { #expect(throws: WireError.self) { try Codec.decode(cut) } }
            }
            #expect(throws: WireError.self) { try Codec.decode(Array(frames.prefix(index))) }
        }
        #expect(throws: WireError.self) { try Codec.decode(frames + [Frame([0])]) }
    }

    @Test func mutationsNeverCrash() throws {
        var random = SeededRandom(seed: 42)
        var decoded = 0
        for _ in 0..<20_000 {
            var frames = try Codec.encode(Samples.all[Int(random.next() % UInt64(Samples.all.count))])
            for _ in 0...Int(random.next() % 4) {
                let index = Int(random.next() % UInt64(frames.count))
                var bytes = frames[index].array
                switch random.next() % 4 {
                case 0 where !bytes.isEmpty:
                    bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
                case 1 where !bytes.isEmpty:
                    bytes.remove(at: Int(random.next() % UInt64(bytes.count)))
                case 2:
                    bytes.insert(
                        UInt8(truncatingIfNeeded: random.next()), at: Int(random.next() % UInt64(bytes.count + 1)))
                default:
                    frames.swapAt(index, Int(random.next() % UInt64(frames.count)))
                    continue
                }
                frames[index] = Frame(bytes)
            }
            // What decodes must encode again: nothing out of range gets through.
            if let message = try? Codec.decode(frames) {
                decoded += 1
                #expect(throws: Never.self) { try Codec.encode(message) }
            }
        }
        #expect(decoded > 100)
    }

    @Test(arguments: 0..<8)
    func unalignedFrames(_ offset: Int) throws {
        for message in Samples.all {
            let frames = try Codec.encode(message).map { frame in
                let storage = Shifted(frame.array, by: offset)
                return Frame(storage: storage, range: offset..<offset + frame.count)
            }
            #expect(try Codec.decode(frames) == message)
        }
    }

    @Test func unknownVersionAndForeignBytes() throws {
        for message in Samples.all.dropFirst() {
            var frames = try Codec.encode(message)
            frames[0] = Frame([0x4f, 0x50, 0x44, 1])
            #expect(code { try Codec.decode(frames) } == .unknownVersion, "\(message.name)")
        }
        var frames = try Codec.encode(Samples.all[0])
        frames[0] = Frame(Array("HTTP".utf8))
        #expect(code { try Codec.decode(frames) } == .notAMessage)
        #expect(code { try Codec.decode([]) } == .notAMessage)
        #expect(code { try Codec.decode([Frame([0x4f, 0x50, 0x44, 2])]) } == .truncated)
    }

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
                role: role, name: name, protocolVersion: version, tokenizerFingerprint: "", processID: 0)
            #expect(try Codec.decode(Samples.frames(frames[...])) == .hello(hello))
            let reject = Reject(code: .protocolVersion, message: "no", protocolVersion: version)
            let answer = try Codec.encode(.reject(reject))
            #expect(answer[0].array == [0x4f, 0x50, 0x44, UInt8(version)])
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
                .hello(Hello(role: .scorer, name: "s", tokenizerFingerprint: "", processID: 1, teacher: teacher)))
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
            return self.code { try Codec.encode(.rolloutGrant(RolloutGrant(groups: [group]))) }
        }
        #expect(code { _ in } == nil)
        #expect(code { $0.samples = [] } == .invalidValue)
        #expect(code { $0.promptIDs = [] } == .invalidValue)
        #expect(code { $0.samples = Array(0..<UInt32(WireLimits.standard.items) + 1) } == .oversized)
        #expect(group.tasks.map(\.id) == [RolloutID(group: 1, sample: 0)])
    }

    /// A later version may add header fields and array frames: this one ignores them.
    @Test func unknownFieldsAndArraysAreIgnored() throws {
        for message in Samples.all {
            var frames = try Codec.encode(message)
            var header = frames[1].array
            header += [0xf8, 0x7f, 1]  // field 2047, varint
            header += [0x0a, 4, 0x08, 99, 0x10, 5]  // arrays { kind: 99, count: 5 }
            frames[1] = Frame(header)
            frames.append(Frame([1, 2, 3]))
            #expect(try Codec.decode(frames) == message)
        }
    }

    @Test func headerWithoutKnownKind() {
        #expect(code { try Codec.decode([Frame([0x4f, 0x50, 0x44, 2]), Frame([])]) } == .unknownKind)
        // Field 1000, length-delimited, empty: a message kind of a later version.
        #expect(code { try Codec.decode([Frame([0x4f, 0x50, 0x44, 2]), Frame([0xc2, 0x3e, 0])]) } == .unknownKind)
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

    func code(_ body: () throws -> Any) -> WireError.Code? {
        do {
            _ = try body()
            return nil
        } catch {
            return (error as? WireError)?.code
        }
    }
}

/// Bytes that start at a chosen offset from an aligned address.
final class Shifted: ByteStorage, @unchecked Sendable {  // Written in the initializer only.
    let bytes: UnsafeRawBufferPointer

    init(_ content: [UInt8], by offset: Int) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: content.count + offset, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0xff)
        UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyBytes(from: content)
        bytes = UnsafeRawBufferPointer(memory)
    }

    deinit { bytes.deallocate() }
}

import Distillation
import TestSupport
import Testing
import Wire

/// What is refused: above limits, of counts that lie, of values that cannot be.
extension CodecTests {
    @Test func limitsHold() throws {
        var limits = WireLimits()
        limits.items = 2
        #expect(code { try Codec.decode(Codec.encode(Samples.all[8]), limits: limits) } == .oversized)
        limits = WireLimits()
        limits.sequenceTokens = 4
        #expect(code { try Codec.decode(Codec.encode(Samples.all[10]), limits: limits) } == .oversized)
        limits = WireLimits()
        limits.frameBytes = 8
        #expect(code { try Codec.decode(Codec.encode(Samples.all[10]), limits: limits) } == .oversized)
        limits = WireLimits()
        limits.headerBytes = 8
        #expect(code { try Codec.decode(Codec.encode(Samples.all[0]), limits: limits) } == .oversized)
        limits = WireLimits()
        limits.stringBytes = 3
        #expect(code { try Codec.decode(Codec.encode(Samples.all[0]), limits: limits) } == .oversized)
        limits = WireLimits()
        limits.frames = 2
        #expect(code { try Codec.decode(Codec.encode(Samples.all[10]), limits: limits) } == .oversized)
    }

    /// Two bytes an item: refused before the decoder takes memory for each.
    @Test func emptyItemsAreCounted() throws {
        func header(_ body: UInt8, items: Int, arrays: Int = 0) -> [Frame] {
            let content = [UInt8]((0..<items).flatMap { _ in [0x0a, 0x00] as [UInt8] })
            var length = content.count, size: [UInt8] = []
            repeat {
                size.append(UInt8(length & 0x7f) | (length > 0x7f ? 0x80 : 0))
                length >>= 7
            } while length > 0
            let described = (0..<arrays).flatMap { _ in [0x0a, 0x00] as [UInt8] }
            return [Frame([0x4f, 0x50, 0x44, 2]), Frame(described + [body, 0x02] + size + content)]
        }
        // 0x92, 0x9a, 0xaa with 0x02: trajectories, score_grant, acknowledge; field 1 of each is its list.
        for body: UInt8 in [0x92, 0x9a, 0xaa] {
            #expect(code { try Codec.decode(header(body, items: 1 << 20)) } == .oversized)
            #expect(code { try Codec.decode(header(body, items: 20000)) } == .oversized)
        }
        #expect(code { try Codec.decode(header(0xaa, items: 1, arrays: 9)) } == .oversized)
        // Halves of a body are one body.
        let half = header(0xaa, items: 20000)[1].array
        #expect(code { try Codec.decode([Frame([0x4f, 0x50, 0x44, 2]), Frame(half + half)]) } == .oversized)
        let most = (0..<WireLimits.standard.items).map {
            WorkItem(id: RolloutID(group: UInt64($0), sample: 1), kind: .train)
        }
        let message = Message.acknowledge(Acknowledge(items: most))
        #expect(try Codec.decode(Codec.encode(message)) == message)
    }

    @Test func countsThatLieAreRefused() throws {
        // A header that announces 2^61 + 1 elements: the product with the element size wraps to 4.
        var envelope = PBEnvelope()
        var array = PBArrayFrame()
        array.kind = .logprobs
        array.count = 1 << 62 | 1
        envelope.arrays = [array]
        envelope.scores = PBScores()
        let frames = [Frame([0x4f, 0x50, 0x44, 2]), Frame(try envelope.serializedBytes()), Frame([0, 0, 0, 0])]
        #expect(code { try Codec.decode(frames) } == .lengthMismatch)

        // Version runs that cover more tokens than there are.
        #expect(code { try VersionRuns.decode([(0, .max)], count: 3, "x") } == .lengthMismatch)
        #expect(code { try VersionRuns.decode([], count: 3, "x") } == .lengthMismatch)
    }

    /// A peer may send runs of no tokens, and neighbours of one version.
    @Test func oddVersionRunsAreReadAsWhatTheyMean() throws {
        let runs: [(version: UInt64, count: UInt32)] = [(1, 2), (1, 1), (9, 0), (2, 0), (1, 1), (2, 1)]
        #expect(try VersionRuns.decode(runs, count: 5, "x") == [1, 1, 1, 1, 2])
    }

    /// Whose fault they are is for the learner to find out.
    @Test func logprobsThatAreNotFinitePass() throws {
        let id = RolloutID(group: 1, sample: 0)
        for odd in [Float.nan, .infinity, -.infinity] {
            let message = Message.scores(Scores(scores: [Score(id: id, kind: .train, logprobs: [odd])], epoch: 1))
            guard case .scores(let scores) = try Codec.decode(Codec.encode(message)) else {
                Issue.record("another message")
                return
            }
            #expect(scores.scores.map { $0.logprobs.map(\.bitPattern) } == [[odd.bitPattern]])
        }
    }

    /// Found by a fuzzer: any bits may stand where log-probabilities are, and what is sent on is what came.
    @Test(arguments: [0xffff_ffff, 0x7fa0_0001, 0x7f80_0000, 0x8000_0000, 1] as [UInt32])
    func logprobsPassToTheLastBit(_ bits: UInt32) throws {
        let score = Score(id: RolloutID(group: 5, sample: 1), kind: .train, logprobs: [-1, Float(bitPattern: bits)])
        let encoded = try Codec.encode(.scores(Scores(scores: [score], epoch: 9)))
        let again = try Codec.encode(Codec.decode(encoded))
        #expect(again.map(\.array) == encoded.map(\.array))
        #expect(encoded.last?.array.suffix(4) == withUnsafeBytes(of: bits.littleEndian) { Array($0) }[...])
    }

    @Test func badValuesAreRefusedOnBothSides() throws {
        let id = RolloutID(group: 1, sample: 0)
        var trajectory = Trajectory(
            id: id, kind: .train, teacher: "t", promptIDs: [1], responseIDs: [2, 3], behaviourLogprobs: [-1],
            policyVersions: [1, 1], finishReason: .stop, temperature: 1)
        #expect(
            code { try Codec.encode(.trajectories(Trajectories(trajectories: [trajectory], epoch: 1))) }
                == .lengthMismatch)
        trajectory.behaviourLogprobs = [-1, -1]
        #expect(code { try Codec.encode(.trajectories(Trajectories(trajectories: [trajectory], epoch: 1))) } == nil)
        let task = ScoreTask(id: id, kind: .train, teacher: "t", ids: [1, 2], promptCount: 0, leaseID: 1)
        #expect(code { try Codec.encode(.scoreGrant(ScoreGrant(tasks: [task]))) } == .invalidValue)
    }

    @Test func announceMustAddUp() {
        func announce(_ manifest: WeightManifest, chunks: Int) throws -> [Frame] {
            try Codec.encode(
                .weightsAnnounce(
                    WeightsAnnounce(
                        version: 1, manifest: manifest, chunkByteCount: 4, chunkCount: chunks, checksum: 0,
                        sharedMemoryPath: nil, hostID: "h")))
        }
        var manifest = WeightManifest(matrixType: .f32, byteCount: 9)
        #expect(code { try announce(manifest, chunks: 2) } == .lengthMismatch)
        #expect(code { try announce(manifest, chunks: 3) } == nil)
        manifest.tensors = [.init(name: "a", shape: [3], type: .f32, byteOffset: 0)]
        #expect(code { try announce(manifest, chunks: 3) } == .invalidValue)
        manifest.tensors = [.init(name: "a", shape: Array(repeating: 1, count: 9), type: .f32, byteOffset: 0)]
        #expect(code { try announce(manifest, chunks: 3) } == .invalidValue)
    }

    /// A tensor that another program announces is looked at before anything is made of it.
    @Test func aTensorThatCannotBeIsRefused() throws {
        func decode(_ change: (inout PBWeightsAnnounce) -> Void) throws -> Message {
            var envelope = PBEnvelope()
            envelope.weightsAnnounce.byteCount = 8
            envelope.weightsAnnounce.chunkByteCount = 8
            envelope.weightsAnnounce.chunkCount = 1
            envelope.weightsAnnounce.matrixType = .bf16
            change(&envelope.weightsAnnounce)
            return try Codec.decode([Frame([0x4f, 0x50, 0x44, 2]), Frame(try envelope.serializedBytes())])
        }
        func tensor(_ change: (inout PBWeightTensor) -> Void) -> PBWeightTensor {
            var tensor = PBWeightTensor()
            (tensor.name, tensor.shape, tensor.type, tensor.byteOffset) = ("a", [2], .f32, 0)
            change(&tensor)
            return tensor
        }
        #expect(code { try decode { $0.tensors = [tensor { _ in }] } } == nil)
        #expect(code { try decode { $0.matrixType = .unspecified } } == .unknownKind)
        #expect(code { try decode { $0.tensors = [tensor { $0.type = .UNRECOGNIZED(9) }] } } == .unknownKind)
        #expect(code { try decode { $0.tensors = [tensor { $0.byteOffset = .max }] } } == .invalidValue)
        #expect(code { try decode { $0.tensors = [tensor { $0.byteOffset = 1 }] } } == .invalidValue)
        #expect(code { try decode { $0.tensors = [tensor { $0.shape = [.max, .max, .max] }] } } == .invalidValue)
        #expect(code { try decode { $0.tensors = [tensor { _ in }, tensor { $0.shape = [0] }] } } == .invalidValue)
    }

    /// Large batches round-trip, and reasons name the item.
}

import Testing
import Wire

/// Differences of weights, which members of before do not know.
@Suite struct WeightMessageTests {
    private func announce(_ differences: [AnnouncedDifference]) -> WeightsAnnounce {
        WeightsAnnounce(
            version: 7, manifest: WeightManifest(matrixType: .f32, byteCount: 100), chunkByteCount: 10, chunkCount: 10,
            checksum: 1, sharedMemoryPath: nil, hostID: "h", differences: differences)
    }

    @Test func differencesTravel() throws {
        let differences = [
            AnnouncedDifference(baseVersion: 0, byteCount: 1), AnnouncedDifference(baseVersion: 6, byteCount: 99),
        ]
        let messages: [Message] = [
            .weightsAnnounce(announce(differences)),
            .weightsRequest(WeightsRequest(version: 7, firstChunk: 1, credit: 2, baseVersion: 0)),
            .weightsRequest(WeightsRequest(version: 7, firstChunk: 1, credit: 2, baseVersion: .max)),
            .weightsChunk(WeightsChunk(version: 7, index: 2, checksum: 5, payload: Frame([8, 9]), baseVersion: 0)),
            .hello(Hello(role: .rollout, name: "r", tokenizerFingerprint: nil, processID: 1, weightRevision: 1)),
        ]
        for message in messages { #expect(try Codec.decode(Codec.encode(message)) == message) }
    }

    @Test func differencesThatCannotBeAreRefused() throws {
        func refused(_ differences: [(base: UInt64, bytes: Int)]) -> WireError.Code? {
            let list = differences.map { AnnouncedDifference(baseVersion: $0.base, byteCount: $0.bytes) }
            return code { _ = try Codec.encode(.weightsAnnounce(announce(list))) }
        }
        #expect(refused([(5, 1), (6, 1)]) == nil)
        #expect(refused([(6, 1), (5, 1)]) == .invalidValue)
        #expect(refused([(6, 1), (6, 1)]) == .invalidValue)
        #expect(refused([(7, 1)]) == .invalidValue)
        #expect(refused([(.max, 1)]) == .invalidValue)
        #expect(refused([(6, 0)]) == .invalidValue)
        #expect(refused([(6, 100)]) == .invalidValue)
        #expect(refused(Array(repeating: (6, 1), count: 16385)) == .oversized)
    }
}

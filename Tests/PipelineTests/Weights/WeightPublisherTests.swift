import Engines
import Foundation
import Pipeline
import TestSupport
import Testing
import Wire

/// Writing weights and announcing them are two steps, so that the trainer need not wait for checksums.
@Suite struct WeightPublisherTests {
    private func weights(_ value: UInt8) -> TrainedWeights {
        TrainedWeights(byteCount: 2500, type: .f32) { memory in
            for index in memory.indices { memory[index] = value }
        }
    }

    private func payload(_ publisher: WeightPublisher, version: UInt64) -> [UInt8] {
        publisher.replies(to: WeightsRequest(version: version, firstChunk: 0, credit: 9)).flatMap { message in
            if case .weightsChunk(let chunk) = message { chunk.payload.array } else { [UInt8]() }
        }
    }

    @Test(arguments: [false, true]) func whatIsWrittenIsOutOnlyWhenItIsAnnounced(inFiles: Bool) throws {
        let directory = try TemporaryFolder()
        let publisher = WeightPublisher(
            runID: "a", directory: inFiles ? directory.path : nil, chunkByteCount: 1000, logger: .silent)
        defer { publisher.close() }
        let first = publisher.write(weights(1), version: 1)
        #expect(publisher.announcement == nil && payload(publisher, version: 1).isEmpty)
        #expect(publisher.announce(first).version == 1)
        let second = publisher.write(weights(2), version: 2)
        #expect(publisher.announcement?.version == 1)
        #expect(payload(publisher, version: 1) == [UInt8](repeating: 1, count: 2500))
        let announced = publisher.announce(second)
        #expect(announced.version == 2 && announced == publisher.announcement)
        #expect((announced.sharedMemoryPath != nil) == inFiles && announced.chunkCount == 3)
        #expect(payload(publisher, version: 2) == [UInt8](repeating: 2, count: 2500))
    }

    /// A publisher that is closed in between removes the file, and what it announces names none.
    @Test func whatIsWrittenWhenItClosesHasNoFile() throws {
        let directory = try TemporaryFolder()
        let publisher = WeightPublisher(runID: "a", directory: directory.path, chunkByteCount: 1000, logger: .silent)
        let written = publisher.write(weights(3), version: 1)
        publisher.close()
        #expect(publisher.announce(written).sharedMemoryPath == nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
        #expect(payload(publisher, version: 1) == [UInt8](repeating: 3, count: 2500))
    }
}

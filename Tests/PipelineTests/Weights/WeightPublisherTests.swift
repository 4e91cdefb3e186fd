import Engines
import Foundation
import Pipeline
import TestSupport
import Testing
import Wire

/// Writing weights and announcing them are two steps, so that the trainer need not wait for checksums.
@Suite(.timeLimit(.minutes(3))) struct WeightPublisherTests {
    private let manifest = WeightManifest(
        matrixType: .f32, tensors: [.init(name: "a", shape: [5, 100], type: .f32, byteOffset: 0)], byteCount: 2500)

    private func written(_ value: UInt8, version: UInt64, _ publisher: WeightPublisher) -> WeightPlace {
        let place = publisher.place(for: manifest, version: version)
        place.memory.withBytes { $0.copyBytes(from: [UInt8](repeating: value, count: 2500)) }
        return place
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
        let first = written(1, version: 1, publisher)
        #expect(publisher.announcement == nil && payload(publisher, version: 1).isEmpty)
        #expect(publisher.announce(first).version == 1)
        let second = written(2, version: 2, publisher)
        #expect(publisher.announcement?.version == 1)
        #expect(payload(publisher, version: 1) == [UInt8](repeating: 1, count: 2500))
        let announced = publisher.announce(second)
        #expect(announced.version == 2 && announced == publisher.announcement && announced.manifest == manifest)
        #expect((announced.sharedMemoryPath != nil) == inFiles && announced.chunkCount == 3)
        #expect(payload(publisher, version: 2) == [UInt8](repeating: 2, count: 2500))
    }

    /// A publisher that is closed in between removes the file, and what it announces names none.
    @Test func whatIsWrittenWhenItClosesHasNoFile() throws {
        let directory = try TemporaryFolder()
        let publisher = WeightPublisher(runID: "a", directory: directory.path, chunkByteCount: 1000, logger: .silent)
        let place = written(3, version: 1, publisher)
        publisher.close()
        #expect(publisher.announce(place).sharedMemoryPath == nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
        #expect(payload(publisher, version: 1) == [UInt8](repeating: 3, count: 2500))
    }

    /// A trainer in another process needs no more than the file's path; until the version is announced nobody else
    /// takes it for whole.
    @Test func aTrainerElsewhereWritesTheFileItself() async throws {
        let directory = try TemporaryFolder()
        let publisher = WeightPublisher(runID: "a", directory: directory.path, chunkByteCount: 1000, logger: .silent)
        defer { publisher.close() }
        let place = publisher.place(for: manifest, version: 1), path = try #require(place.path)
        #expect(throws: WeightFileError.self) { try WeightBytes(mapping: path, in: directory.path, count: 2500) }
        let writer = Process()
        writer.executableURL = URL(fileURLWithPath: "/bin/sh")
        writer.arguments = ["-c", "head -c 2500 /dev/zero | tr '\\0' x | dd of=\"$0\" conv=notrunc status=none", path]
        let status = try await withCheckedThrowingContinuation { done in
            writer.terminationHandler = { done.resume(returning: $0.terminationStatus) }
            do { try writer.run() } catch { done.resume(throwing: error) }
        }
        #expect(status == 0)
        _ = publisher.announce(place)
        let expected = [UInt8](repeating: UInt8(ascii: "x"), count: 2500)
        #expect(payload(publisher, version: 1) == expected)
        let mapped = try WeightBytes(mapping: path, in: directory.path, count: 2500)
        #expect(mapped.withUnsafeBytes { $0.elementsEqual(expected) })
    }
}

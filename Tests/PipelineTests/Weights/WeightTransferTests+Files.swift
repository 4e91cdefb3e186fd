import Engines
import Files
import Foundation
import Locking
import Logging
import Pipeline
import TestSupport
import Testing
import Transport
import Wire

/// The files in shared memory: how long they live, and which of them are read.
extension WeightTransferTests {
    @Test func filesLiveUntilTwoNewerOnesExist() throws {
        let publisher = publisher()
        for version in 1...5 as ClosedRange<UInt64> {
            _ = publisher.publish(snapshot(100, 0), version: version)
        }
        #expect(try files().map { $0.split(separator: "-").last! } == ["3", "4", "5"])
        publisher.close()
        #expect(try files().isEmpty)
    }

    func file(_ path: String?) -> ino_t {
        var status = stat()
        guard let path, stat(path, &status) == 0 else { return 0 }
        return status.st_ino
    }

    /// A new version takes the file of the third last, unless a worker still has that mapped or a chunk of it is under
    /// way: then what they read stays as it is.
    @Test func filesAreUsedAgainWhenNobodyReadsThem() throws {
        let publisher = publisher()
        defer { publisher.close() }
        func publish(_ version: UInt64) -> WeightsAnnounce {
            publisher.publish(snapshot(5000, UInt8(version)), version: version)
        }
        func mapped(_ announce: WeightsAnnounce) throws -> WeightBytes {
            try WeightBytes(mapping: announce.sharedMemoryPath ?? "", in: directory, count: 5000)
        }
        let announces = (1...3).map { publish($0) }
        let inodes = announces.map { file($0.sharedMemoryPath) }
        #expect(Set(inodes).count == 3)
        let second = try mapped(announces[1])
        let third = publisher.replies(to: WeightsRequest(version: 3, firstChunk: 0, credit: 5))
        // The first file was let go of.
        let fourth = publish(4)
        #expect(file(fourth.sharedMemoryPath) == inodes[0])
        #expect(try mapped(fourth).array == snapshot(5000, 4).array)
        // The second is mapped, and chunks of the third are on their way.
        #expect(!inodes.contains(file(publish(5).sharedMemoryPath)))
        #expect(!inodes.contains(file(publish(6).sharedMemoryPath)))
        #expect(second.array == snapshot(5000, 2).array)
        let payload = third.flatMap { message in
            if case .weightsChunk(let chunk) = message { chunk.payload.array } else { [UInt8]() }
        }
        #expect(payload == snapshot(5000, 3).array)
        #expect(try files().count == 3)
    }

    /// The path is another process's word: only a snapshot of this user, in its place, is mapped.
    @Test func noOtherFileIsMapped() throws {
        func flaw(_ path: String) -> String {
            do throws(WeightFileError) {
                _ = try WeightBytes(mapping: path, in: directory, count: 100)
                return ""
            } catch {
                return error.description
            }
        }
        let bytes = Data(count: 100)
        let good = "\(directory)/opd-r-1-1"
        try bytes.write(to: URL(filePath: good))
        #expect(chmod(good, 0o600) == 0)
        #expect(flaw(good) == "")
        #expect(chmod(good, 0o620) == 0)
        #expect(flaw(good).contains("may be written by others"))
        let elsewhere = FileManager.default.temporaryDirectory.appending(path: "opd-\(UUID().uuidString)").path
        try bytes.write(to: URL(filePath: elsewhere))
        defer { try? FileManager.default.removeItem(atPath: elsewhere) }
        try bytes.write(to: URL(filePath: "\(directory)/other"))
        try FileManager.default.createDirectory(atPath: "\(directory)/opd-folder", withIntermediateDirectories: true)
        let name = elsewhere.split(separator: "/").last ?? ""
        for path in [
            "", "/etc/passwd", elsewhere, "\(directory)/other", "\(directory)/opd-folder/../../\(name)",
            "\(directory)/../\(name)", "\(directory)2/opd-r-1-1", "opd-r-1-1",
        ] {
            #expect(flaw(path).contains("is not a snapshot in \(directory)"), "\(path): \(flaw(path))")
        }
        #expect(symlink(elsewhere, "\(directory)/opd-link") == 0)
        #expect(flaw("\(directory)/opd-link").contains("cannot open"))
        #expect(mkfifo("\(directory)/opd-pipe", 0o600) == 0)
        #expect(flaw("\(directory)/opd-pipe").contains("is not a regular file"))
        #expect(flaw("\(directory)/opd-folder").contains("is not a regular file"))
    }

    @Test func filesOfTheDeadAreRemoved() throws {
        let stale = "\(directory)/opd-old-1-7"
        #expect(FileManager.default.createFile(atPath: stale, contents: Data([1])))
        // What is no snapshot neither holds up the start nor goes.
        #expect(mkfifo("\(directory)/opd-pipe", 0o600) == 0)
        defer { unlink("\(directory)/opd-pipe") }
        // A worker that outlives its learner still reads, and goes on reading, what is removed.
        let read = open(stale, O_RDONLY)
        defer { close(read) }
        #expect(flock(read, LOCK_SH) == 0)
        let living = publisher()
        _ = living.publish(snapshot(100, 0), version: 1)
        let other = publisher()
        #expect(try files().count == 2, "the stale file is gone, the living publisher's is not")
        living.close()
        other.close()
    }

    @Test func withoutADirectoryChunksGo() async throws {
        let publisher = WeightPublisher(
            runID: "r", hostID: "here", directory: "/nonexistent", chunkByteCount: 1000, logger: .silent)
        let bytes = snapshot(3000, 4)
        let announce = publisher.publish(bytes, version: 1)
        #expect(announce.sharedMemoryPath == nil)
        let fetcher = fetcher(publisher, host: "here")
        await fetcher.receive(announce)
        #expect(try await weights(fetcher).source == .chunks)
    }
}

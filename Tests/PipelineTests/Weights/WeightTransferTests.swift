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

@Suite(.timeLimit(.minutes(1)))
struct WeightTransferTests {
    /// A folder that stands in for /dev/shm.
    private let directory = FileManager.default.temporaryDirectory.appending(path: "opd-test-\(UUID().uuidString)").path

    init() throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    private func snapshot(_ count: Int, _ seed: UInt8) -> WeightBytes {
        WeightBytes(count: count) { memory in
            for index in memory.indices { memory[index] = UInt8(truncatingIfNeeded: index &* 31) &+ seed }
        }
    }

    private func publisher(_ host: String = "here", chunk: Int = 1000) -> WeightPublisher {
        WeightPublisher(
            runID: "a/b c", hostID: host, directory: directory, chunkByteCount: chunk, logger: .silent)
    }

    private func files() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasPrefix("opd-") }.sorted()
    }

    /// A fetcher whose requests the publisher answers through `deliver`.
    private func fetcher(
        _ publisher: WeightPublisher, host: String, expected: Int? = nil, options: WeightFetcher.Options = .init(),
        deliver: @escaping @Sendable (Message, WeightFetcher) async -> Void = Self.deliver
    ) -> WeightFetcher {
        let (requests, continuation) = AsyncStream.makeStream(of: WeightsRequest.self)
        let fetcher = WeightFetcher(
            hostID: host, expectedByteCount: expected, directory: directory, options: options, logger: .silent
        ) { continuation.yield($0) }
        Task {
            for await request in requests {
                for reply in publisher.replies(to: request) { await deliver(reply, fetcher) }
            }
        }
        return fetcher
    }

    private static func deliver(_ message: Message, to fetcher: WeightFetcher) async {
        switch message {
        case .weightsChunk(let chunk): await fetcher.receive(chunk)
        case .weightsAnnounce(let announce): await fetcher.receive(announce)
        default: break
        }
    }

    private func next(_ fetcher: WeightFetcher) async -> WeightFetchOutcome? {
        for await outcome in fetcher.outcomes { return outcome }
        return nil
    }

    private func weights(_ fetcher: WeightFetcher) async throws -> FetchedWeights {
        guard case .fetched(let weights)? = await next(fetcher) else {
            throw WeightFileError("no weights came")
        }
        return weights
    }

    @Test func sharedMemory() async throws {
        let publisher = publisher()
        let bytes = snapshot(10_001, 1)
        let announce = publisher.publish(bytes, type: .bf16, version: 1)
        let path = try #require(announce.sharedMemoryPath)
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        let fetcher = fetcher(publisher, host: "here")
        await fetcher.receive(announce)
        let fetched = try await weights(fetcher)
        #expect(fetched.source == .sharedMemory && fetched.version == 1 && fetched.manifest.matrixType == .bf16)
        // The mapping outlives its file.
        publisher.close()
        #expect(try files().isEmpty)
        #expect(fetched.bytes.array == bytes.array)
        #expect(publisher.announcement?.sharedMemoryPath == nil)
    }

    @Test(arguments: [1, 999, 1000, 1001, 10_000, 10_001])
    func chunks(_ count: Int) async throws {
        let publisher = publisher()
        let bytes = snapshot(count, 2)
        let announce = publisher.publish(bytes, version: 5)
        let fetcher = fetcher(publisher, host: "elsewhere", expected: count)
        await fetcher.receive(announce)
        let fetched = try await weights(fetcher)
        #expect(fetched.source == .chunks && fetched.bytes.array == bytes.array)
        #expect(UInt(bitPattern: fetched.bytes.bytes.baseAddress) % 64 == 0)
        publisher.close()
    }

    @Test(arguments: ["missing", "short", "altered", "locked", "link"])
    func unusableFilesFallBackToChunks(_ damage: String) async throws {
        let publisher = publisher()
        let bytes = snapshot(5000, 3)
        let announce = publisher.publish(bytes, version: 1)
        let path = try #require(announce.sharedMemoryPath)
        let moved = path + "-moved"
        try FileManager.default.moveItem(atPath: path, toPath: moved)
        let content = bytes.array
        let put = { (content: [UInt8]) in
            FileManager.default.createFile(
                atPath: path, contents: Data(content), attributes: [.posixPermissions: 0o600])
        }
        switch damage {
        case "missing": break
        case "short": #expect(put(content.dropLast()))
        case "altered": #expect(put([0xff, 0xff] + content.dropFirst(2)))
        case "locked":
            #expect(put(content))
            let writer = open(path, O_RDWR)
            #expect(flock(writer, LOCK_EX) == 0)
        default: try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: moved)
        }
        let fetcher = fetcher(publisher, host: "here")
        await fetcher.receive(announce)
        let fetched = try await weights(fetcher)
        #expect(fetched.source == .chunks && fetched.bytes.array == bytes.array)
    }

    @Test func filesLiveUntilTwoNewerOnesExist() throws {
        let publisher = publisher()
        for version in 1...5 as ClosedRange<UInt64> {
            _ = publisher.publish(snapshot(100, 0), version: version)
        }
        #expect(try files().map { $0.split(separator: "-").last! } == ["3", "4", "5"])
        publisher.close()
        #expect(try files().isEmpty)
    }

    private func file(_ path: String?) -> ino_t {
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

    @Test func corruptedChunksAreFetchedAgain() async throws {
        let publisher = publisher()
        let bytes = snapshot(10_000, 5)
        let announce = publisher.publish(bytes, version: 1)
        let corrupted = Locked(Set<Int>())
        let fetcher = fetcher(publisher, host: "elsewhere") { message, fetcher in
            guard case .weightsChunk(var chunk) = message else { return }
            if chunk.index % 2 == 0, corrupted.withLock({ $0.insert(chunk.index).inserted }) {
                var content = chunk.payload.array
                content[7] ^= 1
                chunk.payload = Frame(content)
            }
            await fetcher.receive(chunk)
        }
        await fetcher.receive(announce)
        #expect(try await weights(fetcher).bytes.array == bytes.array)
        #expect(corrupted.withLock { $0.count } == 5)
    }

    @Test func lostChunksAreAskedForAgainThenNamed() async throws {
        let publisher = publisher()
        let announce = publisher.publish(snapshot(10_000, 5), version: 1)
        var options = WeightFetcher.Options()
        options.timeout = .milliseconds(20)
        options.attempts = 3
        let fetcher = fetcher(publisher, host: "elsewhere", options: options) { message, fetcher in
            guard case .weightsChunk(let chunk) = message, chunk.index != 3 else { return }
            await fetcher.receive(chunk)
        }
        await fetcher.receive(announce)
        guard case .failed(let error)? = await next(fetcher) else {
            Issue.record("no failure was reported")
            return
        }
        #expect(error.message == "weights 1: the learner did not send 1 of 10 chunks")
    }

    /// Two workers, one held up in the middle of a version: it skips to the newest, the other sees every one.
    @Test func slowWorkersSkipVersions() async throws {
        let publisher = publisher()
        let hold = Locked(true)
        let fast = fetcher(publisher, host: "elsewhere")
        let slow = fetcher(publisher, host: "elsewhere") { message, fetcher in
            if case .weightsChunk(let chunk) = message, hold.withLock({ $0 }), chunk.index > 2 { return }
            await Self.deliver(message, to: fetcher)
        }
        var seen: [UInt64] = []
        for version in 1...3 as ClosedRange<UInt64> {
            let announce = publisher.publish(snapshot(10_000, UInt8(version)), version: version)
            if version == 3 { hold.withLock { $0 = false } }
            await slow.receive(announce)
            await fast.receive(announce)
            seen.append(try await weights(fast).version)
        }
        #expect(seen == [1, 2, 3])
        let last = try await weights(slow)
        #expect(last.version == 3)
        #expect(last.bytes.array == snapshot(10_000, 3).array)
    }

    /// A request for a version that is gone is answered by the newest announcement.
    @Test func staleRequestsLeadToTheNewest() async throws {
        let publisher = publisher()
        let old = publisher.publish(snapshot(10_000, 1), version: 1)
        _ = publisher.publish(snapshot(10_000, 2), version: 2)
        let fetcher = fetcher(publisher, host: "elsewhere")
        await fetcher.receive(old)
        #expect(try await weights(fetcher).version == 2)
    }

    @Test func anotherModelsWeightsAreRefused() async throws {
        let publisher = publisher()
        let announce = publisher.publish(snapshot(100, 1), version: 1)
        let fetcher = fetcher(publisher, host: "elsewhere", expected: 200)
        await fetcher.receive(announce)
        guard case .failed(let error)? = await next(fetcher) else {
            Issue.record("no failure was reported")
            return
        }
        #expect(error.message.contains("100 bytes, but this worker's model has 200"))
    }

    @Test func hostileRequestsGetNothing() {
        let publisher = publisher()
        #expect(publisher.replies(to: WeightsRequest(version: 1, firstChunk: 0, credit: 1)).isEmpty)
        _ = publisher.publish(snapshot(100_000, 1), version: 1)
        #expect(publisher.replies(to: WeightsRequest(version: 1, firstChunk: 1 << 31, credit: 1)).isEmpty)
        let all = publisher.replies(to: WeightsRequest(version: 1, firstChunk: 0, credit: Int(UInt32.max)))
        #expect(all.count == WeightPublisher.maximumCredit)
        publisher.close()
    }

    @Test func checksumIsZlibs() {
        #expect(Array("123456789".utf8).withUnsafeBytes { crc32($0) } == 0xcbf4_3926)
        let bytes = snapshot(4097, 1)
        // Folding and table look-up agree at every length and alignment.
        for count in [0, 1, 15, 16, 63, 64, 65, 127, 1000, 4000] {
            for offset in 0..<17 {
                bytes.withUnsafeBytes { all in
                    let part = UnsafeRawBufferPointer(rebasing: all[offset..<offset + count])
                    #expect(crc32(part) == part.reduce(UInt32.max) { Self.step($0, $1) } ^ .max)
                }
            }
        }
    }

    @Test(arguments: [1, 16, 999, 4096, 10_000])
    func checksumsOfChunksMakeThatOfTheWhole(_ chunk: Int) {
        let snapshot = snapshot(4097, 1)
        let checksums = SnapshotChecksums(snapshot, chunkByteCount: chunk)
        snapshot.withUnsafeBytes { bytes in
            #expect(checksums.whole == crc32(bytes))
            let parts = stride(from: 0, to: bytes.count, by: chunk).map { start in
                UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + chunk, bytes.count)])
            }
            #expect(checksums.chunks == parts.map { crc32($0) })
        }
    }

    /// One byte of CRC-32, bit by bit.
    private static func step(_ crc: UInt32, _ byte: UInt8) -> UInt32 {
        (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xedb8_8320 : value >> 1 }
    }

    /// Over sockets, as the processes do it.
    @Test func overZeroMQ() async throws {
        let publisher = publisher(chunk: 1 << 16)
        let bytes = snapshot(1_000_000, 6)
        let announce = publisher.publish(bytes, version: 1)
        let learner = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", logger: .silent)
        let member = try ZeroMQTransport.member(connect: learner.endpoint, identity: "w", logger: .silent)
        let fetcher = WeightFetcher(hostID: "elsewhere", expectedByteCount: bytes.count, logger: .silent) { request in
            try? member.send(.weightsRequest(request))
        }
        let serving = Task {
            for await event in learner.events {
                guard case .message(let message, let peer) = event else { continue }
                switch message {
                case .weightsRequest(let request):
                    for reply in publisher.replies(to: request) { try learner.send(reply, to: peer) }
                default: try learner.send(.weightsAnnounce(announce), to: peer)
                }
            }
        }
        let receiving = Task {
            for await event in member.events {
                switch event {
                case .message(.weightsAnnounce(let announce), _): await fetcher.receive(announce)
                case .message(.weightsChunk(let chunk), _): await fetcher.receive(chunk)
                default: break
                }
            }
        }
        try member.send(.goodbye(Goodbye(reason: "tell me")))
        let fetched = try await weights(fetcher)
        #expect(fetched.source == .chunks && fetched.bytes.array == bytes.array)
        await member.close()
        await learner.close()
        _ = await (receiving.value, serving.result)
        publisher.close()
    }
}

extension WeightBytes {
    fileprivate var array: [UInt8] { withUnsafeBytes { Array($0) } }
}

extension WeightPublisher {
    /// Does as a learner and its trainer do, at once.
    func publish(_ bytes: WeightBytes, type: WeightType = .f32, version: UInt64) -> WeightsAnnounce {
        let place = place(for: WeightManifest(matrixType: type, byteCount: bytes.count), version: version)
        bytes.withUnsafeBytes { source in place.memory.withBytes { $0.copyMemory(from: source) } }
        return announce(place)
    }
}

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

@Suite(.timeLimit(.minutes(5)))
struct WeightTransferTests {
    /// A folder that stands in for /dev/shm.
    let directory = FileManager.default.temporaryDirectory.appending(path: "opd-test-\(UUID().uuidString)").path

    init() throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    func snapshot(_ count: Int, _ seed: UInt8) -> WeightBytes {
        WeightBytes(count: count) { memory in
            for index in memory.indices { memory[index] = UInt8(truncatingIfNeeded: index &* 31) &+ seed }
        }
    }

    func publisher(_ host: String = "here", chunk: Int = 1000) -> WeightPublisher {
        WeightPublisher(
            runID: "a/b c", hostID: host, directory: directory, chunkByteCount: chunk, logger: .silent)
    }

    func files() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasPrefix("opd-") }.sorted()
    }

    /// A fetcher whose requests the publisher answers through `deliver`.
    func fetcher(
        _ publisher: WeightPublisher, host: String, expected: Int? = nil, options: WeightFetchMachine.Options = .init(),
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

    static func deliver(_ message: Message, to fetcher: WeightFetcher) async {
        switch message {
        case .weightsChunk(let chunk): await fetcher.receive(chunk)
        case .weightsAnnounce(let announce): await fetcher.receive(announce)
        default: break
        }
    }

    func next(_ fetcher: WeightFetcher) async -> WeightFetchOutcome? {
        for await outcome in fetcher.outcomes { return outcome }
        return nil
    }

    func weights(_ fetcher: WeightFetcher) async throws -> FetchedWeights {
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
        var options = WeightFetchMachine.Options()
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
    var array: [UInt8] { withUnsafeBytes { Array($0) } }
}

extension WeightPublisher {
    /// Does as a learner and its trainer do, at once.
    func publish(_ bytes: WeightBytes, type: WeightType = .f32, version: UInt64) -> WeightsAnnounce {
        let place = place(for: WeightManifest(matrixType: type, byteCount: bytes.count), version: version)
        bytes.withUnsafeBytes { source in place.memory.withBytes { $0.copyMemory(from: source) } }
        return announce(place)
    }
}

import Engines
import Foundation
import Locking
import Pipeline
import TestSupport
import Testing
import Wire

/// Versions that come as differences from the one before, as to a worker on another machine.
extension WeightTransferTests {
    /// Versions of which each has a few other bytes than the one before.
    private static func content(_ version: UInt64, count: Int = 40_000) -> [UInt8] {
        var random = SeededRandom(seed: 1)
        var bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        for step in 0..<version {
            for place in stride(from: Int(step) * 7, to: count, by: 997) { bytes[place] &+= 1 }
        }
        return bytes
    }

    /// Does as a learner whose workers take differences.
    private func publish(_ content: [UInt8], _ version: UInt64, _ publisher: WeightPublisher) -> WeightsAnnounce? {
        let place = publisher.place(for: WeightManifest(matrixType: .f32, byteCount: content.count), version: version)
        place.memory.withBytes { $0.copyBytes(from: content) }
        _ = publisher.announce(place, keepsBase: true)
        return publisher.addDifference()
    }

    @Test func laterVersionsComeAsDifferences() async throws {
        let publisher = publisher()
        let fetcher = fetcher(publisher, host: "elsewhere")
        for version in 0...6 as ClosedRange<UInt64> {
            let content = Self.content(version)
            let announce = try #require(publish(content, version, publisher))
            #expect(announce.differences.map(\.baseVersion) == Array((version < 4 ? 0 : version - 4)..<version))
            await fetcher.receive(announce)
            let fetched = try await weights(fetcher)
            #expect(fetched.version == version && fetched.bytes.array == content)
            #expect(fetched.source == (version == 0 ? .chunks : .differences))
        }
        let measure = try #require(publisher.newestDifference)
        #expect(measure.snapshotBytes == 40_000 && measure.differenceBytes < 1000)
        #expect(measure.density > 0.003 && measure.density < 0.005)
    }

    /// Announcements that are lost, come late, twice or out of turn: what is delivered is always what the learner had.
    @Test(arguments: 0..<12 as Range<UInt64>)
    func lostAndReorderedAnnouncementsAreMadeUpFor(_ seed: UInt64) async throws {
        let publisher = publisher()
        var random = SeededRandom(seed: seed)
        let lossy = Locked(SeededRandom(seed: seed + 100))
        var options = WeightFetchMachine.Options()
        (options.timeout, options.attempts) = (.milliseconds(10), 50)
        let fetcher = fetcher(publisher, host: "elsewhere", options: options) { message, fetcher in
            let fate = lossy.withLock { $0.next() % 8 }
            if fate == 0 { return }
            await Self.deliver(message, to: fetcher)
            if fate == 1 { await Self.deliver(message, to: fetcher) }
        }
        var announced: [WeightsAnnounce] = [], contents: [UInt64: [UInt8]] = [:]
        var delivered: [FetchedWeights] = []
        for version in 0...14 as ClosedRange<UInt64> {
            let content = Self.content(version)
            contents[version] = content
            announced.append(try #require(publish(content, version, publisher)))
            guard version == 0 || version == 14 || random.next() % 3 > 0 else { continue }
            let late = announced[Int(random.next() % UInt64(announced.count))]
            await fetcher.receive(late)
            await fetcher.receive(announced[announced.count - 1])
            await fetcher.receive(late)
            // Whatever was abandoned on the way, the newest arrives.
            var fetched = try await weights(fetcher)
            while fetched.version < version { fetched = try await weights(fetcher) }
            delivered.append(fetched)
        }
        for fetched in delivered { #expect(fetched.bytes.array == contents[fetched.version]) }
        #expect(delivered.last?.version == 14)
        #expect(delivered.contains { $0.source == .differences })
    }

    /// Whoever has missed more than are kept fetches the snapshot, as does a worker of before.
    @Test func whoHasMissedTooManyFetchesTheSnapshot() async throws {
        let publisher = publisher()
        let fetcher = fetcher(publisher, host: "elsewhere")
        var old = WeightFetchMachine.Options()
        old.takesDifferences = false
        let plain = self.fetcher(publisher, host: "elsewhere", options: old)
        for version in 0...5 as ClosedRange<UInt64> {
            let announce = try #require(publish(Self.content(version), version, publisher))
            guard version % 5 == 0 else { continue }
            for fetcher in [fetcher, plain] {
                await fetcher.receive(announce)
                let fetched = try await weights(fetcher)
                #expect(fetched.source == .chunks && fetched.bytes.array == Self.content(version))
            }
        }
    }

    /// A difference that does not make what was announced is given up for the snapshot.
    @Test func damagedDifferencesAreMadeUpForByTheSnapshot() async throws {
        let publisher = publisher()
        let fetcher = fetcher(publisher, host: "elsewhere") { message, fetcher in
            guard case .weightsChunk(var chunk) = message, chunk.baseVersion != nil else {
                return await Self.deliver(message, to: fetcher)
            }
            // Its own checksum fits: whoever made it was wrong.
            var bytes = chunk.payload.array
            bytes[bytes.count - 1] ^= 1
            chunk.payload = Frame(bytes)
            chunk.checksum = bytes.withUnsafeBytes { WeightBytes(copying: $0).checksum }
            await fetcher.receive(chunk)
        }
        for version in 0...2 as ClosedRange<UInt64> {
            await fetcher.receive(try #require(publish(Self.content(version), version, publisher)))
            let fetched = try await weights(fetcher)
            #expect(fetched.source == .chunks && fetched.bytes.array == Self.content(version))
        }
    }

    /// Versions that share little with the one before go whole, and are not tried again at once.
    @Test func whatIsNotWorthItGoesWhole() throws {
        let publisher = publisher()
        var random = SeededRandom(seed: 3)
        for version in 0...3 as ClosedRange<UInt64> {
            let content = (0..<40_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            #expect(try #require(publish(content, version, publisher)).differences.isEmpty)
        }
        #expect(try #require(publisher.newestDifference).density > 0.99)
        publisher.close()
    }

    /// While a difference is made, its base is still handed out.
    @Test func theVersionBeforeIsThereUntilTheDifferenceIs() throws {
        let publisher = publisher()
        for version in 0...1 as ClosedRange<UInt64> { _ = publish(Self.content(version), version, publisher) }
        let place = publisher.place(for: WeightManifest(matrixType: .f32, byteCount: 40_000), version: 2)
        place.memory.withBytes { $0.copyBytes(from: Self.content(2)) }
        _ = publisher.announce(place, keepsBase: true)
        func chunks(_ version: UInt64, from base: UInt64?) -> Int {
            publisher.replies(to: WeightsRequest(version: version, firstChunk: 0, credit: 64, baseVersion: base))
                .count { if case .weightsChunk = $0 { true } else { false } }
        }
        #expect(chunks(1, from: 0) > 0 && chunks(1, from: nil) == 40 && chunks(2, from: nil) == 40)
        #expect(chunks(2, from: 1) == 0 && chunks(2, from: 0) == 0 && chunks(2, from: .max) == 0)
        _ = publisher.addDifference()
        #expect(chunks(1, from: 0) == 0 && chunks(1, from: nil) == 0)
        #expect(chunks(2, from: 1) > 0 && chunks(2, from: 0) == 2 * chunks(2, from: 1))
    }
}

extension WeightBytes {
    fileprivate convenience init(copying bytes: UnsafeRawBufferPointer) {
        self.init(count: bytes.count) { $0.copyMemory(from: bytes) }
    }
}

import Distillation
import Engines
import Locking
import Logging
import RunFiles
import WeightDifferences
import Wire

/// The learner's end of weight transfer: holds the newest snapshot and hands it out.
///
/// The trainer writes it to the place that it is given, a file in shared memory, which a process of the same host and
/// user maps; others ask for chunks, as many at a time as they gave credit for. Its checksums are computed apart, on
/// another thread, while the trainer may go on. Chunks are slices of the one snapshot: nothing is copied.
///
/// Where workers fetch chunks it makes the difference from the version before, too, and hands that out to those that have
/// its base.
package final class WeightPublisher: Sendable {
    private struct State: Sendable {
        var files: SnapshotFiles?
        var current: Snapshot?
        /// The version before, while the difference from it is made: it is still handed out.
        var base: Snapshot?
        var chain = DifferenceChain()
        var policy = DifferencePolicy()
        var measure: WeightMetrics?
        /// Earlier versions that are handed out too, in chunks, for those who follow one of them.
        var kept: [UInt64: Snapshot] = [:]
        var closed = false

        /// A version that is handed out, nil being the newest.
        func holding(_ version: UInt64?) -> Snapshot? {
            guard let version, version != current?.announce.version else { return current }
            return kept[version]
        }

        mutating func removeFiles() {
            files?.removeAll()
            current?.announce.sharedMemoryPath = nil
        }
    }

    private struct Snapshot {
        var announce: WeightsAnnounce
        let bytes: WeightBytes
        let chunkChecksums: [UInt32]

        /// The same for those who come when its file may have another version, or no difference leads to it.
        var alone: Snapshot {
            var snapshot = self
            snapshot.announce.sharedMemoryPath = nil
            snapshot.announce.differences = []
            return snapshot
        }
    }

    private let hostID: String
    private let chunkByteCount: Int
    /// Whether differences are made at all.
    package let makesDifferences: Bool
    private let logger: Logger
    private let state: Locked<State>

    /// - Parameters:
    ///   - directory: where snapshot files go; nil, or one that cannot be written: chunks only.
    ///   - chunkByteCount: bytes of a chunk, at most `WireLimits.frameBytes`.
    package init(
        runID: String, hostID: String = HostID.current(), directory: String? = "/dev/shm",
        chunkByteCount: Int = 4 << 20, makesDifferences: Bool = true, logger: Logger
    ) {
        self.hostID = hostID
        self.chunkByteCount = chunkByteCount
        self.makesDifferences = makesDifferences
        self.logger = logger
        state = Locked(State(files: directory.map { SnapshotFiles(directory: $0, runID: runID) }))
    }

    deinit { close() }

    /// Finds where the trainer is to write a version: a file in shared memory, or memory of this process. Nobody is told
    /// of it before ``announce(_:)``.
    ///
    /// One version at a time: the next one is placed when this one was announced. The system takes tens of milliseconds
    /// to find the memory of a new file: call it from a thread that may block.
    package func place(for manifest: WeightManifest, version: UInt64) -> WeightPlace {
        // The files are taken out, so that requests are answered meanwhile.
        var files = state.withLock { state in
            defer { state.files = nil }
            return state.files
        }
        var place: WeightPlace?
        do throws(WeightFileError) {
            place = try files?.place(manifest, version: version)
        } catch {
            logger.info("weights go in chunks from now on: \(error)")
            files?.removeAll()
            files = nil
        }
        let kept = files
        state.withLock { state in
            state.files = kept
            if state.closed { state.removeFiles() }
        }
        return place ?? WeightPlace(manifest, version: version)
    }

    /// Makes what was written the newest version, and returns what to announce to every rollout worker.
    ///
    /// Computes its checksums, tens of milliseconds for 270 MB: call it from a thread that may block.
    /// - Parameters:
    ///   - keepsBase: the version before is kept until ``addDifference()``, which must follow.
    ///   - keeping: earlier versions that are still handed out, as far as they were until now.
    package func announce(
        _ place: WeightPlace, keepsBase: Bool = false, keeping: Set<UInt64> = []
    ) -> WeightsAnnounce {
        let written = described(place)
        return state.withLock { state in
            if let path = place.path { state.files?.share(path) }
            state.base = keepsBase ? state.current : nil
            if !keepsBase { state.chain.clear() }
            if let last = state.current { state.kept[last.announce.version] = last.alone }
            state.kept = state.kept.filter { keeping.contains($0.key) && $0.key != place.version }
            state.current = written
            if state.closed { state.removeFiles() }
            return state.current?.announce ?? written.announce
        }
    }

    /// Hands out a version of an earlier life beside the newest.
    package func keep(_ place: WeightPlace) {
        let written = described(place)
        state.withLock { $0.kept[place.version] = written.alone }
    }

    /// The bytes of a version that is handed out; nil: it is not.
    package func bytes(of version: UInt64) -> WeightBytes? { state.withLock { $0.holding(version)?.bytes } }

    private func described(_ place: WeightPlace) -> Snapshot {
        let bytes = place.written
        let checksums = SnapshotChecksums(bytes, chunkByteCount: chunkByteCount)
        let announce = WeightsAnnounce(
            version: place.version, manifest: place.manifest, chunkByteCount: chunkByteCount,
            chunkCount: checksums.chunks.count, checksum: checksums.whole, sharedMemoryPath: place.path,
            hostID: hostID)
        return Snapshot(announce: announce, bytes: bytes, chunkChecksums: checksums.chunks)
    }

    /// The newest version, for a worker that has just joined; nil before the first.
    package var announcement: WeightsAnnounce? { announcement(of: nil) }

    /// What to tell of a version, nil being the newest; nil where it is not handed out.
    package func announcement(of version: UInt64?) -> WeightsAnnounce? {
        state.withLock { $0.holding(version)?.announce }
    }

    /// What to send to the asker: the chunks it gave credit for or, when it asks for anything but the version that it is
    /// to have, the announcement of that.
    /// - Parameter wanted: that version; nil: the newest.
    package func replies(to request: WeightsRequest, wanted: UInt64? = nil) -> [Message] {
        let (due, base, chain) = state.withLock { ($0.holding(wanted), wanted == nil ? $0.base : nil, $0.chain) }
        guard let due else { return [] }
        // While a difference is made, whoever can do with it hears of its base.
        let newest = request.baseVersion == nil ? due : base ?? due
        guard let snapshot = [due, base].compactMap(\.self).first(where: { $0.announce.version == request.version })
        else { return [.weightsAnnounce(newest.announce)] }
        var transfer = WeightTransfer(snapshotOf: snapshot.announce)
        var parts = [(bytes: snapshot.bytes, checksums: snapshot.chunkChecksums)]
        if let base = request.baseVersion {
            guard let differences = WeightTransfer(to: snapshot.announce, from: base),
                let links = chain.links(of: differences)
            else { return [.weightsAnnounce(newest.announce)] }
            transfer = differences
            parts = links.map { ($0.bytes, $0.chunkChecksums) }
        }
        let last = min(transfer.chunkCount, request.firstChunk + min(request.credit, Self.maximumCredit))
        guard request.firstChunk < last else { return [] }
        return (request.firstChunk..<last).compactMap { index in
            guard let place = transfer.place(of: index) else { return nil }
            return .weightsChunk(
                WeightsChunk(
                    version: request.version, index: index, checksum: parts[place.part].checksums[place.index],
                    payload: Frame(storage: parts[place.part].bytes, range: place.range),
                    baseVersion: request.baseVersion))
        }
    }

    /// Makes the difference from the version before, and returns what to announce to those that can do with it: the
    /// newest version, with the differences that lead to it where they are worth it. Nil before the first version.
    ///
    /// Takes tenths of a second for 270 MB, on every core: call it from a thread that may block.
    package func addDifference() -> WeightsAnnounce? {
        let (current, base, policy) = state.withLock { ($0.current, $0.base, $0.policy) }
        guard let current else { return nil }
        var made: (link: DifferenceChain.Link, metrics: WeightMetrics)?
        if let base, base.announce.manifest == current.announce.manifest, policy.attempts(current.announce.version) {
            made = difference(from: base, to: current)
        }
        return state.withLock { state in
            state.base = nil
            if let (link, metrics) = made {
                state.measure = metrics
                let isWorthIt = state.policy.isWorthIt(
                    version: link.version, byteCount: link.bytes.count, of: current.bytes.count)
                if isWorthIt { state.chain.append(link) } else { state.chain.clear() }
            } else {
                state.chain.clear()
            }
            state.current?.announce.differences = state.chain.announced
            return state.current?.announce
        }
    }

    private func difference(
        from base: Snapshot, to current: Snapshot
    ) -> (link: DifferenceChain.Link, metrics: WeightMetrics) {
        let start = ContinuousClock.now
        let encoded = withExtendedLifetime((base, current)) {
            WeightDifference.encode(
                WeightVersion(current.announce, current.bytes), against: WeightVersion(base.announce, base.bytes),
                of: current.announce.manifest)
        }
        let bytes = WeightBytes(count: encoded.bytes.count) { $0.copyBytes(from: encoded.bytes) }
        let link = DifferenceChain.Link(
            baseVersion: base.announce.version, version: current.announce.version, bytes: bytes,
            chunkChecksums: SnapshotChecksums(bytes, chunkByteCount: chunkByteCount).chunks)
        let metrics = WeightMetrics(
            snapshotBytes: current.bytes.count, differenceBytes: bytes.count, density: encoded.density,
            seconds: (ContinuousClock.now - start) / .seconds(1))
        return (link, metrics)
    }

    /// What the newest difference was that was made, worth it or not; nil: none was.
    package var newestDifference: WeightMetrics? { state.withLock { $0.measure } }

    /// Chunks that one request may ask for.
    package static let maximumCredit = 64

    /// Removes the snapshot files. Chunks are still handed out.
    package func close() {
        state.withLock { state in
            state.closed = true
            state.removeFiles()
        }
    }
}

extension WeightVersion {
    /// - Parameter bytes: of the version that is announced; whoever uses this keeps them alive.
    init(_ announce: WeightsAnnounce, _ bytes: WeightBytes) {
        self.init(version: announce.version, bytes: bytes.bytes, checksum: announce.checksum)
    }
}

import Engines
import Locking
import Logging
import Wire

/// The learner's end of weight transfer: holds the newest snapshot and hands it out.
///
/// The trainer writes it to the place that it is given, a file in shared memory, which a process of the same host and
/// user maps; others ask for chunks, as many at a time as they gave credit for. Its checksums are computed apart, on
/// another thread, while the trainer may go on. Chunks are slices of the one snapshot: nothing is copied.
package final class WeightPublisher: Sendable {
    private struct State: Sendable {
        var files: SnapshotFiles?
        var current: Current?
        /// Earlier versions that are handed out too, in chunks.
        var kept: [UInt64: Current] = [:]
        var closed = false

        /// A version that is handed out, nil being the newest.
        func holding(_ version: UInt64?) -> Current? {
            guard let version, version != current?.announce.version else { return current }
            return kept[version]
        }

        mutating func removeFiles() {
            files?.removeAll()
            current?.announce.sharedMemoryPath = nil
        }
    }

    private struct Current {
        var announce: WeightsAnnounce
        let bytes: WeightBytes
        let chunkChecksums: [UInt32]

        /// The same for those who come when its file may have another version.
        var withoutFile: Current {
            var current = self
            current.announce.sharedMemoryPath = nil
            return current
        }
    }

    private let hostID: String
    private let chunkByteCount: Int
    private let logger: Logger
    private let state: Locked<State>

    /// - Parameters:
    ///   - directory: where snapshot files go; nil, or one that cannot be written: chunks only.
    ///   - chunkByteCount: bytes of a chunk, at most `WireLimits.frameBytes`.
    package init(
        runID: String, hostID: String = HostID.current(), directory: String? = "/dev/shm",
        chunkByteCount: Int = 4 << 20, logger: Logger
    ) {
        self.hostID = hostID
        self.chunkByteCount = chunkByteCount
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
    /// - Parameter keeping: earlier versions that are still handed out, as far as they were until now.
    package func announce(_ place: WeightPlace, keeping: Set<UInt64> = []) -> WeightsAnnounce {
        let written = described(place)
        return state.withLock { state in
            if let path = place.path { state.files?.share(path) }
            if let last = state.current { state.kept[last.announce.version] = last.withoutFile }
            state.kept = state.kept.filter { keeping.contains($0.key) && $0.key != place.version }
            state.current = written
            if state.closed { state.removeFiles() }
            return state.current?.announce ?? written.announce
        }
    }

    /// Hands out a version of an earlier life beside the newest.
    package func keep(_ place: WeightPlace) {
        let written = described(place)
        state.withLock { $0.kept[place.version] = written.withoutFile }
    }

    /// What is handed out beside the newest version, by version.
    package var kept: [UInt64: WeightBytes] { state.withLock { $0.kept.mapValues(\.bytes) } }

    private func described(_ place: WeightPlace) -> Current {
        let bytes = place.written
        let checksums = SnapshotChecksums(bytes, chunkByteCount: chunkByteCount)
        let announce = WeightsAnnounce(
            version: place.version, manifest: place.manifest, chunkByteCount: chunkByteCount,
            chunkCount: checksums.chunks.count, checksum: checksums.whole, sharedMemoryPath: place.path,
            hostID: hostID)
        return Current(announce: announce, bytes: bytes, chunkChecksums: checksums.chunks)
    }

    /// The newest version, for a worker that has just joined; nil before the first.
    package var announcement: WeightsAnnounce? { announcement(of: nil) }

    /// What to tell of a version, nil being the newest; nil where it is not handed out.
    package func announcement(of version: UInt64?) -> WeightsAnnounce? {
        state.withLock { $0.holding(version)?.announce }
    }

    /// What to send to the asker: the chunks it gave credit for or, when it asks for a version that is not handed out,
    /// the announcement of the one that it is to have.
    /// - Parameter wanted: that version; nil: the newest.
    package func replies(to request: WeightsRequest, wanted: UInt64? = nil) -> [Message] {
        let (asked, due) = state.withLock { ($0.holding(request.version), $0.holding(wanted)) }
        guard let due else { return [] }
        // A worker has no use for versions that are kept for others.
        guard let current = asked, current.announce.version == due.announce.version else {
            return [.weightsAnnounce(due.announce)]
        }
        let announce = current.announce
        let last = min(announce.chunkCount, request.firstChunk + min(request.credit, Self.maximumCredit))
        guard request.firstChunk < last else { return [] }
        return (request.firstChunk..<last).map { index in
            let start = index * announce.chunkByteCount
            let range = start..<min(start + announce.chunkByteCount, announce.byteCount)
            return .weightsChunk(
                WeightsChunk(
                    version: announce.version, index: index, checksum: current.chunkChecksums[index],
                    payload: Frame(storage: current.bytes, range: range)))
        }
    }

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

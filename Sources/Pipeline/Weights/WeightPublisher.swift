import Engines
import Locking
import Logging
import Wire

/// The learner's end of weight transfer: holds the newest snapshot and hands it out.
///
/// The trainer writes it into a file in shared memory, which a process of the same host and user maps; others ask for
/// chunks, as many at a time as they gave credit for. Its checksums are computed apart, on another thread, while the
/// trainer may go on. Chunks are slices of the one snapshot: nothing is copied.
package final class WeightPublisher: Sendable {
    private struct State: Sendable {
        var files: SnapshotFiles?
        var current: Current?
        var closed = false

        mutating func removeFiles() {
            files?.removeAll()
            current?.announce.sharedMemoryPath = nil
        }
    }

    private struct Current {
        var announce: WeightsAnnounce
        let bytes: WeightBytes
        let chunkChecksums: [UInt32]
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

    /// Weights that are written and not announced yet.
    package struct Written: Sendable {
        fileprivate let version: UInt64
        fileprivate let elementType: String
        fileprivate let path: String?
        fileprivate let bytes: WeightBytes
    }

    /// Has `weights` written to shared memory, or to memory of this process: what the trainer's thread must do, because
    /// the next step changes them. Nobody is told of them before ``announce(_:)``.
    ///
    /// One version at a time: the next one is written when this one was announced.
    package func write(_ weights: TrainedWeights, version: UInt64) -> Written {
        // One thread writes: the files are taken out, so that requests are answered meanwhile.
        var files = state.withLock { state in
            defer { state.files = nil }
            return state.files
        }
        var path: String?
        var shared: WeightBytes?
        do throws(WeightFileError) {
            let file = try files?.write(weights, version: version)
            path = file?.path
            shared = file?.bytes
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
        return Written(
            version: version, elementType: weights.type.rawValue, path: path, bytes: shared ?? weights.copied())
    }

    /// Makes what was written the newest version, and returns what to announce to every rollout worker.
    ///
    /// Computes its checksums, tens of milliseconds for 270 MB: call it from a thread that may block.
    package func announce(_ written: Written) -> WeightsAnnounce {
        let checksums = SnapshotChecksums(written.bytes, chunkByteCount: chunkByteCount)
        let announce = WeightsAnnounce(
            version: written.version, byteCount: written.bytes.count, chunkByteCount: chunkByteCount,
            chunkCount: checksums.chunks.count, checksum: checksums.whole, sharedMemoryPath: written.path,
            hostID: hostID, elementType: written.elementType)
        return state.withLock { state in
            state.current = Current(announce: announce, bytes: written.bytes, chunkChecksums: checksums.chunks)
            if state.closed { state.removeFiles() }
            return state.current?.announce ?? announce
        }
    }

    /// Writes and announces at once.
    package func publish(_ weights: TrainedWeights, version: UInt64) -> WeightsAnnounce {
        announce(write(weights, version: version))
    }

    /// The newest version, for a worker that has just joined; nil before the first `publish`.
    package var announcement: WeightsAnnounce? { state.withLock { $0.current?.announce } }

    /// What to send to the asker: the chunks it gave credit for or, when it asks for anything but the newest version,
    /// the newest announcement.
    package func replies(to request: WeightsRequest) -> [Message] {
        guard let current = state.withLock({ $0.current }) else { return [] }
        let announce = current.announce
        guard request.version == announce.version else { return [.weightsAnnounce(announce)] }
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

import Engines
import Files
import Foundation
import Locking
import Logging
import RunFiles
import WeightDifferences
import Wire
import Wording

/// A complete weight version.
package struct FetchedWeights: Sendable {
    /// The way by which they came.
    package enum Source: String, Sendable { case sharedMemory, chunks, differences }

    package var version: UInt64
    package var bytes: WeightBytes
    /// What the bytes are.
    package var manifest: WeightManifest
    package var source: Source
}

/// A weight version that could not be had.
package struct WeightFetchError: MessageError, Equatable {
    package var version: UInt64
    /// One line for a person.
    package var message: String
}

/// What became of a version.
package enum WeightFetchOutcome: Sendable {
    case fetched(FetchedWeights)
    case failed(WeightFetchError)
}

/// The worker's end of weight transfer. Feed it the learner's announcements and chunks; complete versions come out of
/// `outcomes`, of which a slow reader gets the newest only.
///
/// Checksums of whole snapshots are computed on a thread of their own, never on Swift's cooperative pool.
package actor WeightFetcher {
    /// Ends after `stop`.
    package nonisolated let outcomes: AsyncStream<WeightFetchOutcome>

    private let continuation: AsyncStream<WeightFetchOutcome>.Continuation
    private let expectedByteCount: Int?
    private let directory: String
    private let logger: Logger
    private let send: @Sendable (WeightsRequest) -> Void
    private var machine: WeightFetchMachine
    private var assembly: WeightAssembly?
    private var mapped: WeightBytes?
    /// The version that is kept, to apply differences to.
    private var held: (announce: WeightsAnnounce, bytes: WeightBytes)?
    private let keepsVersions: Bool
    private var timer: Task<Void, Never>?
    private var stopped = false

    /// - Parameters:
    ///   - expectedByteCount: bytes of the worker's model; an announcement of another size is refused. Nil takes any.
    ///   - directory: where snapshot files are; an announced path that leads elsewhere is not opened.
    ///   - send: queues a request to the learner, without blocking.
    package init(
        hostID: String = HostID.current(), expectedByteCount: Int?, directory: String = "/dev/shm",
        options: WeightFetchMachine.Options = .init(), logger: Logger,
        send: @escaping @Sendable (WeightsRequest) -> Void
    ) {
        self.expectedByteCount = expectedByteCount
        self.directory = directory
        self.logger = logger
        self.send = send
        keepsVersions = options.takesDifferences
        machine = WeightFetchMachine(hostID: hostID, options: options)
        (outcomes, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// The learner has a version, newer or not.
    package func receive(_ announce: WeightsAnnounce) {
        if let expectedByteCount, announce.byteCount != expectedByteCount {
            let message =
                "weights \(announce.version) have \(announce.byteCount) bytes, but this worker's model has "
                + "\(expectedByteCount); start it with the learner's student model, dtype and lora section"
            continuation.yield(.failed(WeightFetchError(version: announce.version, message: message)))
            return
        }
        handle(.announced(announce))
    }

    /// A chunk came. Copies it to its place: about 1 ms for 4 MiB.
    package func receive(_ chunk: WeightsChunk) {
        guard let assembly, assembly.announce.version == chunk.version, assembly.fits(chunk) else { return }
        let intact = chunk.payload.withUnsafeBytes { crc32($0) } == chunk.checksum
        handle(
            .chunk(version: chunk.version, base: chunk.baseVersion, index: chunk.index, intact: intact), chunk: chunk)
    }

    /// Gives up whatever is under way and ends `outcomes`.
    package func stop() {
        stopped = true
        timer?.cancel()
        assembly = nil
        mapped = nil
        held = nil
        continuation.finish()
    }

    private func handle(_ event: WeightFetchMachine.Event, chunk: WeightsChunk? = nil) {
        guard !stopped else { return }
        for action in machine.handle(event, now: .now) { perform(action, chunk) }
        schedule()
    }

    private func perform(_ action: WeightFetchMachine.Action, _ chunk: WeightsChunk?) {
        switch action {
        case .openSharedMemory(let announce): open(announce)
        case .allocate(let announce, let base): allocate(announce, base)
        case .store: if let chunk { assembly?.store(chunk) }
        case .request(let request): send(request)
        case .verify(let announce, let base): verify(announce, base)
        case .deliver(let announce): deliver(announce)
        case .discard:
            assembly = nil
            mapped = nil
        case .fail(let version, let message):
            continuation.yield(.failed(WeightFetchError(version: version, message: message)))
        case .note(let text): logger.info("\(text)")
        }
    }

    private func allocate(_ announce: WeightsAnnounce, _ base: UInt64?) {
        guard let base, let transfer = WeightTransfer(to: announce, from: base) else {
            // Nothing leads on from it, and its memory is as much as the snapshot's.
            held = nil
            assembly = WeightAssembly(WeightTransfer(snapshotOf: announce))
            return
        }
        assembly = WeightAssembly(transfer)
    }

    private func deliver(_ announce: WeightsAnnounce) {
        let arrived = assembly?.transfer.baseVersion == nil ? FetchedWeights.Source.chunks : .differences
        let source: FetchedWeights.Source = mapped == nil ? arrived : .sharedMemory
        guard let bytes = mapped ?? assembly?.result else { return }
        held = mapped == nil && keepsVersions ? (announce, bytes) : nil
        mapped = nil
        assembly = nil
        continuation.yield(
            .fetched(
                FetchedWeights(
                    version: announce.version, bytes: bytes, manifest: announce.manifest, source: source)))
    }

    /// Maps and checks the file off the pool.
    private func open(_ announce: WeightsAnnounce) {
        let directory = directory
        Task {
            let result = await onThread("opd-weights") { () -> Result<WeightBytes, WeightFileError> in
                do throws(WeightFileError) {
                    let bytes = try WeightBytes(
                        mapping: announce.sharedMemoryPath ?? "", in: directory, count: announce.byteCount)
                    guard bytes.checksum == announce.checksum else {
                        return .failure(WeightFileError("the file's checksum does not match"))
                    }
                    return .success(bytes)
                } catch {
                    return .failure(error)
                }
            }
            switch result {
            case .success(let bytes):
                mapped = bytes
                handle(.sharedMemory(version: announce.version, failure: nil))
                mapped = nil
            case .failure(let error):
                handle(.sharedMemory(version: announce.version, failure: error.description))
            }
        }
    }

    private func verify(_ announce: WeightsAnnounce, _ base: UInt64?) {
        guard let parts = assembly?.parts else { return }
        guard base != nil else {
            let bytes = parts[0]
            Task {
                let checksum = await onThread("opd-weights") { bytes.checksum }
                assembled(announce, bytes, flaw: checksum == announce.checksum ? nil : "its checksum does not match")
            }
            return
        }
        guard let held, held.announce.version == base else {
            return handle(.assembled(version: announce.version, intact: false, flaw: "their base is not here"))
        }
        Task {
            let result = await onThread("opd-weights") { () -> Result<WeightBytes, DifferenceError> in
                do throws(DifferenceError) {
                    return .success(try WeightBytes(applying: parts, to: held.bytes, held.announce, for: announce))
                } catch {
                    return .failure(error)
                }
            }
            switch result {
            case .success(let bytes): assembled(announce, bytes, flaw: nil)
            case .failure(let error): assembled(announce, nil, flaw: "the difference cannot be used: \(error)")
            }
        }
    }

    /// The whole was checked, unless it is not wanted any more.
    private func assembled(_ announce: WeightsAnnounce, _ bytes: WeightBytes?, flaw: String?) {
        guard assembly?.transfer.announce.version == announce.version else { return }
        assembly?.result = bytes
        handle(.assembled(version: announce.version, intact: flaw == nil, flaw: flaw))
    }

    private func schedule() {
        timer?.cancel()
        timer = nil
        guard let deadline = machine.nextTick else { return }
        timer = Task { [weak self] in
            guard (try? await Task.sleep(until: deadline, clock: .continuous)) != nil else { return }
            await self?.handle(.tick)
        }
    }
}

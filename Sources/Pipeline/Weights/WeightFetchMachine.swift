import Wire

/// How a rollout worker follows the learner's weight versions: events in, actions out, no clock and no I/O of its own.
///
/// One version is fetched at a time. A newer announcement abandons it. Shared memory is tried first where the host is
/// the same, then chunks, with `window` of them asked for ahead: of differences where they lead on from the version that
/// came in chunks last, else of the snapshot.
package struct WeightFetchMachine: Sendable {
    /// How hard it tries.
    package struct Options: Sendable {
        /// Chunks asked for and not yet here.
        package var window: Int
        /// Silence after which chunks are asked for again.
        package var timeout: Duration
        /// Repetitions without progress after which the version is given up.
        package var attempts: Int
        /// Whether differences are fetched, for which the last version is kept.
        package var takesDifferences: Bool

        package init(
            window: Int = 4, timeout: Duration = .seconds(5), attempts: Int = 6, takesDifferences: Bool = true
        ) {
            self.window = window
            self.timeout = timeout
            self.attempts = attempts
            self.takesDifferences = takesDifferences
        }
    }

    /// What has happened.
    package enum Event: Sendable {
        case announced(WeightsAnnounce)
        /// The mapping was verified, or could not be used and why.
        case sharedMemory(version: UInt64, failure: String?)
        /// A chunk of plausible place and size arrived; `intact` tells whether its checksum matches.
        case chunk(version: UInt64, base: UInt64? = nil, index: Int, intact: Bool)
        /// All chunks are in place, and the whole was checked, or why differences could not be applied.
        case assembled(version: UInt64, intact: Bool, flaw: String? = nil)
        case tick
    }

    /// What a fetcher is to do.
    package enum Action: Sendable, Equatable {
        case openSharedMemory(WeightsAnnounce)
        /// Take memory for the chunks of the snapshot, or of the differences from a base.
        case allocate(WeightsAnnounce, base: UInt64? = nil)
        /// Keep the chunk that was just received.
        case store(index: Int)
        case request(WeightsRequest)
        /// Check the whole, after applying the differences to their base where that is what came.
        case verify(WeightsAnnounce, base: UInt64? = nil)
        /// The version is complete.
        case deliver(WeightsAnnounce)
        /// Free the memory of a version that is no longer wanted.
        case discard(version: UInt64)
        case fail(version: UInt64, message: String)
        /// Worth a line in the log.
        case note(String)
    }

    private enum Phase: Sendable {
        case idle
        case openingSharedMemory
        case fetching(Chunks)
        case verifying(base: UInt64?)
    }

    private struct Chunks: Sendable {
        /// The version to which the differences are applied; nil: they are the snapshot's.
        let base: UInt64?
        var present: [Bool]
        var missing: Int
        /// Chunks before this one were asked for.
        var asked = 0
        /// Chunks asked for and not here.
        var outstanding = 0

        init(_ transfer: WeightTransfer) {
            base = transfer.baseVersion
            missing = transfer.chunkCount
            present = Array(repeating: false, count: missing)
        }
    }

    private let hostID: String
    private let options: Options
    private var phase = Phase.idle
    private var target: WeightsAnnounce?
    private var deadline: ContinuousClock.Instant?
    private var silentAttempts = 0
    /// Newest version delivered.
    package private(set) var delivered: UInt64?
    /// The version that is kept, to apply differences to.
    package private(set) var held: UInt64?

    package init(hostID: String, options: Options = .init()) {
        self.hostID = hostID
        self.options = options
    }

    /// When to send the next `.tick`; nil when there is nothing to wait for.
    package var nextTick: ContinuousClock.Instant? { deadline }

    package mutating func handle(_ event: Event, now: ContinuousClock.Instant) -> [Action] {
        switch event {
        case .announced(let announce): announced(announce, now)
        case .sharedMemory(let version, let failure): sharedMemory(version, failure, now)
        case .chunk(let version, let base, let index, let intact): chunk(version, base, index, intact, now)
        case .assembled(let version, let intact, let flaw): assembled(version, intact, flaw, now)
        case .tick: tick(now)
        }
    }

    private mutating func announced(_ announce: WeightsAnnounce, _ now: ContinuousClock.Instant) -> [Action] {
        if let delivered, announce.version <= delivered { return [] }
        var actions: [Action] = []
        if let target {
            guard announce.version > target.version else { return [] }
            actions.append(.discard(version: target.version))
        }
        target = announce
        silentAttempts = 0
        if announce.sharedMemoryPath != nil, announce.hostID == hostID {
            phase = .openingSharedMemory
            deadline = nil
            return actions + [.openSharedMemory(announce)]
        }
        return actions + startChunks(announce, now)
    }

    private mutating func startChunks(_ announce: WeightsAnnounce, _ now: ContinuousClock.Instant) -> [Action] {
        let differences = held.flatMap { WeightTransfer(to: announce, from: $0) }
        // No later announcement leads on from it.
        if differences == nil { held = nil }
        let transfer = differences ?? WeightTransfer(snapshotOf: announce)
        phase = .fetching(Chunks(transfer))
        return [.allocate(announce, base: transfer.baseVersion)] + ask(now)
    }

    /// Differences are of no use: the snapshot is fetched.
    private mutating func startSnapshot(
        _ announce: WeightsAnnounce, because reason: String, _ now: ContinuousClock.Instant
    ) -> [Action] {
        held = nil
        silentAttempts = 0
        return [.note("weights \(announce.version) come whole: \(reason)")] + startChunks(announce, now)
    }

    /// Asks for as many further chunks as the window allows.
    private mutating func ask(_ now: ContinuousClock.Instant) -> [Action] {
        guard let target, case .fetching(var chunks) = phase else { return [] }
        deadline = now + options.timeout
        var actions: [Action] = []
        while chunks.outstanding < options.window, chunks.asked < chunks.present.count {
            // Skips what an earlier request already brought.
            guard !chunks.present[chunks.asked] else {
                chunks.asked += 1
                continue
            }
            var credit = 0
            while chunks.outstanding + credit < options.window, chunks.asked + credit < chunks.present.count,
                !chunks.present[chunks.asked + credit]
            {
                credit += 1
            }
            actions.append(
                .request(
                    WeightsRequest(
                        version: target.version, firstChunk: chunks.asked, credit: credit, baseVersion: chunks.base)))
            chunks.asked += credit
            chunks.outstanding += credit
        }
        phase = .fetching(chunks)
        return actions
    }

    private mutating func sharedMemory(
        _ version: UInt64, _ failure: String?, _ now: ContinuousClock.Instant
    ) -> [Action] {
        guard let target, target.version == version, case .openingSharedMemory = phase else { return [] }
        guard let failure else { return deliver(target, isKept: false) }
        return [.note("weights \(version) come in chunks: \(failure)")] + startChunks(target, now)
    }

    private mutating func chunk(
        _ version: UInt64, _ base: UInt64?, _ index: Int, _ intact: Bool, _ now: ContinuousClock.Instant
    ) -> [Action] {
        guard let target, target.version == version, case .fetching(var chunks) = phase, chunks.base == base,
            chunks.present.indices.contains(index), !chunks.present[index]
        else { return [] }
        guard intact else {
            silentAttempts += 1
            guard silentAttempts < options.attempts else { return fail("chunk \(index) arrives corrupted", now) }
            deadline = now + options.timeout
            return [
                .note("weights \(version): chunk \(index) is corrupted; asking again"),
                .request(WeightsRequest(version: version, firstChunk: index, credit: 1, baseVersion: base)),
            ]
        }
        silentAttempts = 0
        chunks.present[index] = true
        chunks.missing -= 1
        chunks.outstanding = max(0, chunks.outstanding - 1)
        phase = .fetching(chunks)
        if chunks.missing == 0 {
            phase = .verifying(base: base)
            deadline = nil
            return [.store(index: index), .verify(target, base: base)]
        }
        // Asking for half a window at a time halves the requests; the pipe stays full.
        let actions = chunks.outstanding <= options.window / 2 ? ask(now) : []
        deadline = now + options.timeout
        return [.store(index: index)] + actions
    }

    private mutating func assembled(
        _ version: UInt64, _ intact: Bool, _ flaw: String?, _ now: ContinuousClock.Instant
    ) -> [Action] {
        guard let target, target.version == version, case .verifying(let base) = phase else { return [] }
        if intact { return deliver(target, isKept: options.takesDifferences) }
        if base != nil { return startSnapshot(target, because: flaw ?? "the difference is damaged", now) }
        silentAttempts += 1
        if silentAttempts >= options.attempts { return fail("its checksum does not match", now) }
        return [.note("weights \(version): the checksum of the whole does not match; fetching again")]
            + startChunks(target, now)
    }

    private mutating func tick(_ now: ContinuousClock.Instant) -> [Action] {
        guard let deadline, now >= deadline else { return [] }
        return repeatRequest(now)
    }

    private mutating func repeatRequest(_ now: ContinuousClock.Instant) -> [Action] {
        guard case .fetching(var chunks) = phase else { return [] }
        silentAttempts += 1
        if silentAttempts >= options.attempts {
            return fail("the learner did not send \(chunks.missing) of \(chunks.present.count) chunks", now)
        }
        chunks.asked = 0
        chunks.outstanding = 0
        phase = .fetching(chunks)
        return ask(now)
    }

    /// - Parameter isKept: whether its bytes are kept, to apply differences to.
    private mutating func deliver(_ announce: WeightsAnnounce, isKept: Bool) -> [Action] {
        delivered = announce.version
        held = isKept ? announce.version : nil
        reset()
        return [.deliver(announce)]
    }

    private mutating func fail(_ reason: String, _ now: ContinuousClock.Instant) -> [Action] {
        guard let target else { return [] }
        if case .fetching(let chunks) = phase, chunks.base != nil {
            return startSnapshot(target, because: reason, now)
        }
        let version = target.version
        reset()
        return [.discard(version: version), .fail(version: version, message: "weights \(version): \(reason)")]
    }

    private mutating func reset() {
        phase = .idle
        target = nil
        deadline = nil
        silentAttempts = 0
    }
}

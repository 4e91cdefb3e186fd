import DequeModule
import Files
import Wire

/// What a relay knows of weights: who was told of which version, which chunks are here, and who waits for which.
///
/// A state machine: what passes and the time go in, actions come out. A chunk is asked for once, as the first member that
/// wants it would ask; others that want it meanwhile wait for the same answer. What is no longer announced to anybody is
/// dropped, and beyond `byteLimit` what came first.
package struct ChunkTable: Sendable {
    /// What the relay is to do.
    package enum Action: Sendable, Equatable {
        /// Ask the learner, in the name of this member.
        case ask(WeightsRequest, as: PeerID)
        case serve(WeightsChunk, to: PeerID)
    }

    /// What was asked for and served since the start.
    package struct Counters: Sendable, Equatable {
        /// Bytes of chunks that came and were taken.
        package var taken = 0
        /// Bytes of chunks that were served to members.
        package var served = 0
        /// Chunks that were not what was announced.
        package var damaged = 0

        package init(taken: Int = 0, served: Int = 0, damaged: Int = 0) {
            (self.taken, self.served, self.damaged) = (taken, served, damaged)
        }
    }

    /// How long a chunk may be on its way before whoever wants it asks for it anew. Members ask again after 5 s.
    package static let patience: Duration = .seconds(3)
    /// Chunks that one request may ask for, as at the learner.
    package static let maximumCredit = 64

    private struct Announced: Sendable {
        var epoch: UInt64?
        var announce: WeightsAnnounce?
        /// Whether the learner has heard that the member fetches this version in chunks: it makes differences for those.
        var isFetchKnown = false
    }

    /// Some bytes that are cut into chunks: equal ones are the same bytes.
    private struct Content: Hashable, Sendable {
        let epoch: UInt64?
        let version: UInt64
        let checksum: UInt32
        let chunkByteCount: Int
        let base: UInt64?
        let parts: [Int]
    }

    private struct Place: Sendable {
        let content: Content
        let index: Int
    }

    private struct Awaited: Sendable {
        var asker: PeerID
        /// Nil: it came and was damaged.
        var askedAt: Duration?
        var waiting: [PeerID]
    }

    private struct Chunks: Sendable {
        var held: [Int: WeightsChunk] = [:]
        var awaited: [Int: Awaited] = [:]
    }

    private let byteLimit: Int
    private var peers: [PeerID: Announced] = [:]
    private var contents: [Content: Chunks] = [:]
    /// The chunks that are here, by age.
    private var order: Deque<Place> = []
    /// Bytes of the chunks that are here.
    package private(set) var heldBytes = 0
    package private(set) var counters = Counters()

    /// - Parameter byteLimit: the most bytes of chunks to hold.
    package init(byteLimit: Int) { self.byteLimit = byteLimit }

    // MARK: What passes

    /// The learner has welcomed a member: versions of another epoch are void.
    package mutating func welcomed(_ peer: PeerID, epoch: UInt64, now: Duration) -> [Action] {
        guard peers[peer]?.epoch != epoch else { return [] }
        peers[peer] = Announced(epoch: epoch)
        return release(peer, now)
    }

    /// A member was told of a version.
    package mutating func announced(_ announce: WeightsAnnounce, to peer: PeerID, now: Duration) -> [Action] {
        let before = peers[peer]
        let isSame = before?.announce?.version == announce.version
        peers[peer] = Announced(
            epoch: before?.epoch, announce: announce, isFetchKnown: isSame && before?.isFetchKnown == true)
        return isSame ? [] : release(peer, now)
    }

    /// A member has gone.
    package mutating func left(_ peer: PeerID, now: Duration) -> [Action] {
        guard peers.removeValue(forKey: peer) != nil else { return [] }
        return release(peer, now)
    }

    /// A member asks for chunks.
    /// - Returns: nil where only the learner can answer: the request is not for what the member was told of.
    package mutating func requested(_ request: WeightsRequest, by peer: PeerID, now: Duration) -> [Action]? {
        guard let transfer = transfer(request.version, request.baseVersion, of: peer) else { return nil }
        let content = content(transfer, of: peer)
        let count = transfer.chunkCount
        let last = min(count, request.firstChunk + min(request.credit, Self.maximumCredit))
        var actions: [Action] = [], missing: [Int] = []
        var chunks = contents[content] ?? Chunks()
        for index in request.firstChunk..<max(request.firstChunk, last) {
            if let chunk = chunks.held[index] {
                counters.served += chunk.payload.count
                actions.append(.serve(chunk, to: peer))
                continue
            }
            var awaited = chunks.awaited[index] ?? Awaited(asker: peer, askedAt: nil, waiting: [])
            if !awaited.waiting.contains(peer) { awaited.waiting.append(peer) }
            if awaited.askedAt.map({ now - $0 >= Self.patience }) ?? true {
                awaited.asker = peer
                awaited.askedAt = now
                missing.append(index)
            }
            chunks.awaited[index] = awaited
        }
        contents[content] = chunks
        var asks = Self.runs(missing).map { run in
            WeightsRequest(
                version: request.version, firstChunk: run.lowerBound, credit: run.count,
                baseVersion: request.baseVersion)
        }
        if asks.isEmpty, peers[peer]?.isFetchKnown == false {
            // Past the last chunk: nothing is sent, but the learner knows now who fetches.
            let past = WeightsRequest(
                version: request.version, firstChunk: count, credit: 1, baseVersion: request.baseVersion)
            asks = [past]
        }
        if !asks.isEmpty { peers[peer]?.isFetchKnown = true }
        return actions + asks.map { .ask($0, as: peer) }
    }

    /// A chunk has come that was asked for in the name of a member.
    /// - Returns: nil where nobody here waits for it: it is the member's.
    package mutating func arrived(_ chunk: WeightsChunk, for peer: PeerID) -> [Action]? {
        guard let transfer = transfer(chunk.version, chunk.baseVersion, of: peer),
            let place = transfer.place(of: chunk.index)
        else { return nil }
        let content = content(transfer, of: peer)
        guard let awaited = contents[content]?.awaited[chunk.index] else { return nil }
        guard chunk.payload.count == place.range.count,
            chunk.payload.withUnsafeBytes({ crc32($0) }) == chunk.checksum
        else {
            counters.damaged += 1
            contents[content]?.awaited[chunk.index]?.askedAt = nil
            return []
        }
        contents[content]?.awaited[chunk.index] = nil
        counters.taken += chunk.payload.count
        counters.served += chunk.payload.count * awaited.waiting.count
        hold(chunk, at: Place(content: content, index: chunk.index))
        return awaited.waiting.map { .serve(chunk, to: $0) }
    }

    // MARK: What is held

    private mutating func hold(_ chunk: WeightsChunk, at place: Place) {
        contents[place.content]?.held[place.index] = chunk
        order.append(place)
        heldBytes += chunk.payload.count
        while heldBytes > byteLimit, let oldest = order.popFirst() {
            heldBytes -= contents[oldest.content]?.held.removeValue(forKey: oldest.index)?.payload.count ?? 0
        }
    }

    /// A member wants nothing any more but what it was told of last: what was asked for in its name is asked for in that
    /// of another who waits, and what nobody was told of is dropped.
    private mutating func release(_ peer: PeerID, _ now: Duration) -> [Action] {
        var actions: [Action] = []
        let wanted = Set(peers.keys.compactMap { version(of: $0) })
        for content in contents.keys where !wanted.contains(Version(content)) {
            for chunk in (contents.removeValue(forKey: content)?.held ?? [:]).values {
                heldBytes -= chunk.payload.count
            }
            order.removeAll { $0.content == content }
        }
        let present = version(of: peer)
        for content in contents.keys where Version(content) != present {
            for (index, awaited) in contents[content]?.awaited ?? [:] {
                let waiting = awaited.waiting.filter { $0 != peer && version(of: $0) == Version(content) }
                contents[content]?.awaited[index]?.waiting = waiting
                guard awaited.asker == peer else { continue }
                guard let next = waiting.first else {
                    contents[content]?.awaited[index] = nil
                    continue
                }
                contents[content]?.awaited[index]?.asker = next
                contents[content]?.awaited[index]?.askedAt = now
                peers[next]?.isFetchKnown = true
                let request = WeightsRequest(
                    version: content.version, firstChunk: index, credit: 1, baseVersion: content.base)
                actions.append(.ask(request, as: next))
            }
        }
        return actions
    }

    /// A version as a learner has announced it.
    private struct Version: Hashable {
        let epoch: UInt64?
        let number: UInt64
        let checksum: UInt32

        init(_ content: Content) { (epoch, number, checksum) = (content.epoch, content.version, content.checksum) }

        init(epoch: UInt64?, _ announce: WeightsAnnounce) {
            (self.epoch, number, checksum) = (epoch, announce.version, announce.checksum)
        }
    }

    private func version(of peer: PeerID) -> Version? {
        guard let known = peers[peer], let announce = known.announce else { return nil }
        return Version(epoch: known.epoch, announce)
    }

    /// What leads a member to a version, as it was told; nil where it was not.
    private func transfer(_ version: UInt64, _ base: UInt64?, of peer: PeerID) -> WeightTransfer? {
        guard let announce = peers[peer]?.announce, announce.version == version else { return nil }
        return base.map { WeightTransfer(to: announce, from: $0) } ?? WeightTransfer(snapshotOf: announce)
    }

    private func content(_ transfer: WeightTransfer, of peer: PeerID) -> Content {
        Content(
            epoch: peers[peer]?.epoch, version: transfer.announce.version, checksum: transfer.announce.checksum,
            chunkByteCount: transfer.announce.chunkByteCount, base: transfer.baseVersion, parts: transfer.parts)
    }

    /// Ascending numbers as runs without gaps.
    private static func runs(_ numbers: [Int]) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        for number in numbers {
            if let last = runs.last, last.upperBound == number {
                runs[runs.count - 1] = last.lowerBound..<number + 1
            } else {
                runs.append(number..<number + 1)
            }
        }
        return runs
    }
}

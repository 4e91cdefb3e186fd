import Engines
import Wire

/// The newest differences that a learner hands out, each leading to the base of the next.
struct DifferenceChain: Sendable {
    struct Link: Sendable {
        let baseVersion: UInt64
        let version: UInt64
        let bytes: WeightBytes
        let chunkChecksums: [UInt32]
    }

    /// A worker that has missed more versions than this fetches a snapshot.
    static let longest = 4

    private(set) var links: [Link] = []

    /// Adds the difference to the newest version; those that do not lead to its base are of no use any more.
    mutating func append(_ link: Link) {
        if links.last?.version != link.baseVersion { links = [] }
        links = (links + [link]).suffix(Self.longest)
    }

    /// No difference leads to the newest version.
    mutating func clear() { links = [] }

    var announced: [AnnouncedDifference] {
        links.map { AnnouncedDifference(baseVersion: $0.baseVersion, byteCount: $0.bytes.count) }
    }

    /// The differences of a transfer; nil where they are not here any more.
    func links(of transfer: WeightTransfer) -> ArraySlice<Link>? {
        guard let first = links.firstIndex(where: { $0.baseVersion == transfer.baseVersion }),
            let last = links.firstIndex(where: { $0.version == transfer.announce.version }), first <= last,
            links[first...last].map(\.bytes.count) == transfer.parts
        else { return nil }
        return links[first...last]
    }
}

/// What is sent so that a worker has a version: the snapshot or, to one that has an earlier version, the differences that
/// lead on from it. Learner and worker count its chunks alike: through its parts, each of whose last chunk may be short.
package struct WeightTransfer: Sendable, Equatable {
    package let announce: WeightsAnnounce
    /// The version that the worker has; nil: the snapshot is sent.
    package let baseVersion: UInt64?
    /// Bytes of the snapshot, or of each difference.
    package let parts: [Int]

    package init(snapshotOf announce: WeightsAnnounce) {
        self.announce = announce
        baseVersion = nil
        parts = [announce.byteCount]
    }

    /// Nil where no differences lead on from the base, or they are as long as the snapshot.
    package init?(to announce: WeightsAnnounce, from baseVersion: UInt64) {
        guard let first = announce.differences.firstIndex(where: { $0.baseVersion == baseVersion }) else { return nil }
        let parts = announce.differences[first...].map(\.byteCount)
        guard parts.reduce(0, +) < announce.byteCount else { return nil }
        self.announce = announce
        self.baseVersion = baseVersion
        self.parts = parts
    }

    private func chunkCount(of part: Int) -> Int { (parts[part] - 1) / announce.chunkByteCount + 1 }

    package var chunkCount: Int { parts.indices.reduce(0) { $0 + chunkCount(of: $1) } }

    /// Which bytes of which part a chunk has, and its number in it; nil where there is no such chunk.
    package func place(of chunk: Int) -> (part: Int, index: Int, range: Range<Int>)? {
        guard chunk >= 0 else { return nil }
        var index = chunk
        for part in parts.indices {
            let count = chunkCount(of: part)
            if index < count {
                let start = index * announce.chunkByteCount
                return (part, index, start..<min(start + announce.chunkByteCount, parts[part]))
            }
            index -= count
        }
        return nil
    }
}

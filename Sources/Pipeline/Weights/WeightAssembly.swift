import Engines
import WeightDifferences
import Wire

/// Memory in which the chunks of one version, or of the differences that lead to it, come together.
struct WeightAssembly {
    let transfer: WeightTransfer
    /// The version as it was checked.
    var result: WeightBytes?
    private let memory: [WeightMemory]

    init(_ transfer: WeightTransfer) {
        self.transfer = transfer
        memory = transfer.parts.map { WeightMemory(byteCount: $0) }
    }

    var announce: WeightsAnnounce { transfer.announce }

    /// The snapshot, or each difference.
    var parts: [WeightBytes] { memory.map { WeightBytes($0) } }

    /// Whether the chunk is one of these, of the length that it has to have.
    func fits(_ chunk: WeightsChunk) -> Bool {
        chunk.baseVersion == transfer.baseVersion
            && transfer.place(of: chunk.index).map { chunk.payload.count == $0.range.count } ?? false
    }

    /// Nobody else reads `parts` before all chunks are stored.
    func store(_ chunk: WeightsChunk) {
        guard let place = transfer.place(of: chunk.index) else { return }
        chunk.payload.withUnsafeBytes { source in
            memory[place.part].withBytes {
                UnsafeMutableRawBufferPointer(rebasing: $0[place.range]).copyMemory(from: source)
            }
        }
    }
}

extension WeightBytes {
    /// What differences make of a version that is here. Takes tenths of a second for 270 MB, on every core.
    /// - Parameters:
    ///   - base: a version, and what was announced of it.
    ///   - announce: of the version to which they lead.
    /// - Throws: `DifferenceError` where they do not, or are damaged.
    convenience init(
        applying differences: [WeightBytes], to base: WeightBytes, _ baseAnnounce: WeightsAnnounce,
        for announce: WeightsAnnounce
    ) throws(DifferenceError) {
        let memory = WeightMemory(byteCount: announce.byteCount)
        defer { withExtendedLifetime((memory, base)) {} }
        try WeightDifference.apply(
            differences, to: WeightVersion(baseAnnounce, base), version: announce.version,
            checksum: announce.checksum, of: announce.manifest, into: memory.bytes)
        self.init(memory)
    }
}

import Files
import Wire

/// The weights of a learner as a test needs them: every chunk can be told from every other.
struct Version: Equatable {
    var epoch: UInt64 = 1
    var number: UInt64
    var byteCount = 10
    var differences: [AnnouncedDifference] = []

    private func byte(_ base: UInt64?, _ part: Int, _ index: Int) -> UInt8 {
        let mixed = epoch &* 97 &+ number &* 31 &+ (base.map { $0 &* 7 &+ 3 } ?? 0) &+ UInt64(part * 13 + index)
        return UInt8(truncatingIfNeeded: mixed)
    }

    var announce: WeightsAnnounce {
        let whole = (0..<byteCount).map { byte(nil, 0, $0) }
        return WeightsAnnounce(
            version: number, manifest: WeightManifest(matrixType: .f32, byteCount: byteCount), chunkByteCount: 4,
            chunkCount: (byteCount + 3) / 4, checksum: whole.withUnsafeBytes { crc32($0) }, sharedMemoryPath: nil,
            hostID: "learner", differences: differences)
    }

    func transfer(_ base: UInt64?) -> WeightTransfer? {
        base.map { WeightTransfer(to: announce, from: $0) } ?? WeightTransfer(snapshotOf: announce)
    }

    func chunk(_ index: Int, base: UInt64? = nil) -> WeightsChunk? {
        guard let place = transfer(base)?.place(of: index) else { return nil }
        let bytes = place.range.map { byte(base, place.part, $0) }
        return WeightsChunk(
            version: number, index: index, checksum: bytes.withUnsafeBytes { crc32($0) }, payload: Frame(bytes),
            baseVersion: base)
    }

    /// What a learner with this as its newest version answers.
    func replies(to request: WeightsRequest) -> [Message] {
        guard request.version == number, let count = transfer(request.baseVersion)?.chunkCount else {
            return [.weightsAnnounce(announce)]
        }
        let last = min(count, request.firstChunk + min(request.credit, 64))
        guard request.firstChunk < last else { return [] }
        return (request.firstChunk..<last).compactMap { chunk($0, base: request.baseVersion) }
            .map { .weightsChunk($0) }
    }
}

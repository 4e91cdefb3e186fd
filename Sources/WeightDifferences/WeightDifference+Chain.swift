import Wire

extension WeightDifference {
    /// Applies differences one after the other, each to what came of the one before.
    ///
    /// - Parameters:
    ///   - differences: as they came.
    ///   - base: a version that is here.
    ///   - version, checksum: of what is to come of it.
    ///   - manifest: what both are.
    ///   - result: memory of as many bytes, beside the base's.
    /// - Throws: ``DifferenceError`` where one is missing, comes twice or out of turn, is damaged, or leads elsewhere;
    ///   `result` is of no use then.
    package static func apply(
        _ differences: [any ByteStorage], to base: WeightVersion, version: UInt64, checksum: UInt32,
        of manifest: WeightManifest, into result: UnsafeMutableRawBufferPointer
    ) throws(DifferenceError) {
        var now = base
        for storage in differences {
            let difference = try WeightDifference(storage, of: manifest)
            guard difference.baseVersion == now.version, difference.version > now.version else {
                throw DifferenceError(
                    "it leads from version \(difference.baseVersion) to \(difference.version), and version "
                        + "\(now.version) is here")
            }
            guard difference.baseChecksum == now.checksum else {
                throw DifferenceError("its version \(now.version) is not the one that is here")
            }
            now.checksum = try difference.apply(to: now.bytes, into: result)
            now.version = difference.version
            now.bytes = UnsafeRawBufferPointer(result)
        }
        guard now.version == version, now.checksum == checksum else {
            throw DifferenceError("it leads to version \(now.version), not to the announced \(version)")
        }
    }
}

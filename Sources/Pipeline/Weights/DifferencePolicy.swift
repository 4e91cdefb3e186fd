/// Of which versions differences are made: decided by what the last ones were worth.
package struct DifferencePolicy: Sendable {
    /// Every so many versions workers fetch a snapshot, whatever it costs.
    package static let anchorInterval: UInt64 = 1000
    /// So many versions are sent whole after a difference that was not worth it.
    package static let pause: UInt64 = 16
    /// The share of a snapshot's bytes from which on a difference is not worth the time to make and apply it.
    package static let largestShare = 0.5

    private var nextVersion: UInt64 = 0

    package init() {}

    /// Whether a difference that leads to this version is to be made.
    package func attempts(_ version: UInt64) -> Bool {
        version >= nextVersion && version % Self.anchorInterval != 0
    }

    /// Takes note of a difference that was made.
    /// - Returns: whether it is to be sent.
    package mutating func isWorthIt(version: UInt64, byteCount: Int, of snapshotByteCount: Int) -> Bool {
        if Double(byteCount) <= Self.largestShare * Double(snapshotByteCount) { return true }
        nextVersion = version + Self.pause
        return false
    }
}

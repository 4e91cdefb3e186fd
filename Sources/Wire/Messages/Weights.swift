/// A weight version that can be fetched.
package struct WeightsAnnounce: Sendable, Equatable {
    package var version: UInt64
    /// What the bytes are.
    package var manifest: WeightManifest
    /// Bytes of every chunk but the last, which holds the rest.
    package var chunkByteCount: Int
    /// `byteCount / chunkByteCount`, rounded up.
    package var chunkCount: Int
    /// CRC-32 (zlib's) of all bytes.
    package var checksum: UInt32
    /// File that holds the bytes, for processes with the same `hostID`.
    package var sharedMemoryPath: String?
    package var hostID: String
    /// Differences that lead to this version, by ascending base: each to the base of the next, the last to this version.
    package var differences: [AnnouncedDifference]

    /// What ``Hello/weightRevision`` says of a member that can fetch all that there is: differences, too.
    package static let newestRevision: UInt32 = 1

    package init(
        version: UInt64, manifest: WeightManifest, chunkByteCount: Int, chunkCount: Int, checksum: UInt32,
        sharedMemoryPath: String?, hostID: String, differences: [AnnouncedDifference] = []
    ) {
        self.version = version
        self.manifest = manifest
        self.chunkByteCount = chunkByteCount
        self.chunkCount = chunkCount
        self.checksum = checksum
        self.sharedMemoryPath = sharedMemoryPath
        self.hostID = hostID
        self.differences = differences
    }

    /// Bytes of the whole snapshot.
    package var byteCount: Int { manifest.byteCount }
}

/// A difference that can be fetched instead of a snapshot, by whoever has its base.
package struct AnnouncedDifference: Sendable, Equatable {
    package var baseVersion: UInt64
    package var byteCount: Int

    package init(baseVersion: UInt64, byteCount: Int) {
        self.baseVersion = baseVersion
        self.byteCount = byteCount
    }
}

/// Asks for chunks `firstChunk ..< firstChunk + credit` of a version.
package struct WeightsRequest: Sendable, Equatable {
    package var version: UInt64
    package var firstChunk: Int
    /// Number of chunks asked for, at least 1; those past the last are not sent.
    package var credit: Int
    /// The version that the asker has: chunks are those of the differences that lead on from it; nil: of the snapshot.
    package var baseVersion: UInt64?

    package init(version: UInt64, firstChunk: Int, credit: Int, baseVersion: UInt64? = nil) {
        self.version = version
        self.firstChunk = firstChunk
        self.credit = credit
        self.baseVersion = baseVersion
    }
}

/// One chunk of a version.
package struct WeightsChunk: Sendable, Equatable {
    package var version: UInt64
    package var index: Int
    /// CRC-32 (zlib's) of the payload.
    package var checksum: UInt32
    package var payload: Frame
    /// As in the request.
    package var baseVersion: UInt64?

    package init(version: UInt64, index: Int, checksum: UInt32, payload: Frame, baseVersion: UInt64? = nil) {
        self.version = version
        self.index = index
        self.checksum = checksum
        self.payload = payload
        self.baseVersion = baseVersion
    }
}

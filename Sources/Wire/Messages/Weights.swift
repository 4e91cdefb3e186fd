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

    package init(
        version: UInt64, manifest: WeightManifest, chunkByteCount: Int, chunkCount: Int, checksum: UInt32,
        sharedMemoryPath: String?, hostID: String
    ) {
        self.version = version
        self.manifest = manifest
        self.chunkByteCount = chunkByteCount
        self.chunkCount = chunkCount
        self.checksum = checksum
        self.sharedMemoryPath = sharedMemoryPath
        self.hostID = hostID
    }

    /// Bytes of the whole snapshot.
    package var byteCount: Int { manifest.byteCount }
}

/// Asks for chunks `firstChunk ..< firstChunk + credit` of a version.
package struct WeightsRequest: Sendable, Equatable {
    package var version: UInt64
    package var firstChunk: Int
    /// Number of chunks asked for, at least 1; those past the last are not sent.
    package var credit: Int

    package init(version: UInt64, firstChunk: Int, credit: Int) {
        self.version = version
        self.firstChunk = firstChunk
        self.credit = credit
    }
}

/// One chunk of a version.
package struct WeightsChunk: Sendable, Equatable {
    package var version: UInt64
    package var index: Int
    /// CRC-32 (zlib's) of the payload.
    package var checksum: UInt32
    package var payload: Frame

    package init(version: UInt64, index: Int, checksum: UInt32, payload: Frame) {
        self.version = version
        self.index = index
        self.checksum = checksum
        self.payload = payload
    }
}

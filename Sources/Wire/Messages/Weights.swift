/// A weight version that can be fetched.
public struct WeightsAnnounce: Sendable, Equatable {
    public var version: UInt64
    public var byteCount: Int
    /// Bytes of every chunk but the last, which holds the rest.
    public var chunkByteCount: Int
    /// `byteCount / chunkByteCount`, rounded up.
    public var chunkCount: Int
    /// CRC-32 (zlib's) of all bytes.
    public var checksum: UInt32
    /// File that holds the bytes, for processes with the same `hostID`.
    public var sharedMemoryPath: String?
    public var hostID: String
    /// `f32` or `bf16`: how matrices are stored.
    public var elementType: String

    public init(
        version: UInt64, byteCount: Int, chunkByteCount: Int, chunkCount: Int, checksum: UInt32,
        sharedMemoryPath: String?, hostID: String, elementType: String
    ) {
        self.version = version
        self.byteCount = byteCount
        self.chunkByteCount = chunkByteCount
        self.chunkCount = chunkCount
        self.checksum = checksum
        self.sharedMemoryPath = sharedMemoryPath
        self.hostID = hostID
        self.elementType = elementType
    }
}

/// Asks for chunks `firstChunk ..< firstChunk + credit` of a version.
public struct WeightsRequest: Sendable, Equatable {
    public var version: UInt64
    public var firstChunk: Int
    /// At least 1. Chunks past the last are not sent.
    public var credit: Int

    public init(version: UInt64, firstChunk: Int, credit: Int) {
        self.version = version
        self.firstChunk = firstChunk
        self.credit = credit
    }
}

/// One chunk of a version.
public struct WeightsChunk: Sendable, Equatable {
    public var version: UInt64
    public var index: Int
    /// CRC-32 (zlib's) of the payload.
    public var checksum: UInt32
    public var payload: Frame

    public init(version: UInt64, index: Int, checksum: UInt32, payload: Frame) {
        self.version = version
        self.index = index
        self.checksum = checksum
        self.payload = payload
    }
}

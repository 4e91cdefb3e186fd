/// Why bytes are not a message this version understands, or why a message cannot be encoded.
package struct WireError: Error, Equatable, CustomStringConvertible {
    /// The kind of failure.
    package enum Code: String, Sendable {
        /// Frame 0 is missing or is not ours.
        case notAMessage
        /// Another protocol version.
        case unknownVersion
        /// The header is not protobuf, or bytes are missing.
        case truncated
        /// The header holds no message kind, or an enumeration value, that this version knows.
        case unknownKind
        /// Something is above one of `WireLimits`.
        case oversized
        /// Counts in the header and lengths of frames disagree.
        case lengthMismatch
        /// A value outside its range.
        case invalidValue
    }

    package var code: Code
    /// What is wrong, for a person.
    package var reason: String

    package init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    package var description: String { reason }
}

/// What a decoder accepts. Everything is checked before memory is taken for it.
package struct WireLimits: Sendable, Equatable {
    /// Frames of a message, frame 0 and header included.
    package var frames = 8
    /// Bytes of the protobuf header.
    package var headerBytes = 4 << 20
    /// Bytes of one array frame.
    package var frameBytes = 256 << 20
    /// Tasks, trajectories, scores, leases or ids in one message.
    package var items = 16384
    /// Tokens of one sequence.
    package var sequenceTokens = 1 << 20
    /// UTF-8 bytes of one string.
    package var stringBytes = 4096
    /// Bytes of a weight snapshot.
    package var snapshotBytes = 1 << 40

    package init() {}

    package static let standard = WireLimits()
}

internal import SwiftProtobuf

/// Turns messages into frames and back. docs/protocol.md specifies the bytes.
///
/// Frame 0 is `OPD` and the version byte, frame 1 a protobuf header, frames 2... raw little-endian arrays that the
/// header describes.
package enum Codec {
    /// The protocol version this code speaks: the last byte of frame 0.
    package static let version: UInt32 = 2

    package static let magic: [UInt8] = [0x4f, 0x50, 0x44]

    private static let preamble = Frame(magic + [UInt8(version)])

    /// Frame 0 of a message: a refusal is in the version of whom it is for, everything else in this one.
    private static func preamble(of message: Message) -> Frame {
        guard case .reject(let reject) = message, reject.protocolVersion != version else { return preamble }
        return Frame(magic + [UInt8(truncatingIfNeeded: reject.protocolVersion)])
    }

    /// The frames of `message`.
    ///
    /// Throws `WireError` when the message is not one a peer would accept: counts that disagree, values out of
    /// range, above `limits`.
    package static func encode(_ message: Message, limits: WireLimits = .standard) throws(WireError) -> [Frame] {
        var arrays = ArrayWriter(limits: limits)
        var envelope = PBEnvelope()
        envelope.body = try body(of: message, arrays: &arrays, limits: limits)
        envelope.arrays = arrays.descriptions
        let header: [UInt8]
        do {
            header = try envelope.serializedBytes()
        } catch {
            throw WireError(.invalidValue, "\(message.name): cannot be serialized: \(error)")
        }
        guard header.count <= limits.headerBytes else {
            throw WireError(
                .oversized,
                "\(message.name): header of \(header.count) bytes is above the limit of \(limits.headerBytes)")
        }
        return [preamble(of: message), Frame(header)] + arrays.frames
    }

    /// The message in `frames`.
    ///
    /// Every size and count is checked before memory is taken for it. Unknown header fields and unknown array frames
    /// are ignored. Of a message of another version only a hello is read, and no more of it than it takes to refuse it
    /// by name. Throws `WireError`.
    package static func decode(_ frames: [Frame], limits: WireLimits = .standard) throws(WireError) -> Message {
        guard let first = frames.first, first.count == 4 else {
            throw WireError(.notAMessage, "frame 0 is not the 4 bytes 'OPD' and version")
        }
        let preamble = first.array
        guard preamble.starts(with: magic) else {
            throw WireError(.notAMessage, "frame 0 does not start with 'OPD'")
        }
        guard frames.count >= 2 else { throw WireError(.truncated, "the header frame is missing") }
        guard frames.count <= limits.frames else {
            throw WireError(.oversized, "\(frames.count) frames are above the limit of \(limits.frames)")
        }
        guard frames[1].count <= limits.headerBytes else {
            throw WireError(
                .oversized, "header of \(frames[1].count) bytes is above the limit of \(limits.headerBytes)")
        }
        let header = frames[1].array
        let scan = HeaderScan(header)
        guard scan.arrays <= limits.frames else {
            throw WireError(.oversized, "\(scan.arrays) array frames are above the limit of \(limits.frames)")
        }
        // A grant has two lists, and a few fields are texts.
        guard scan.items <= 2 * limits.items + 16 else {
            throw WireError(.oversized, "\(scan.items) items are above the limit of \(limits.items)")
        }
        var options = BinaryDecodingOptions()
        options.discardUnknownFields = true
        let envelope: PBEnvelope
        do {
            envelope = try PBEnvelope(serializedBytes: header, options: options)
        } catch {
            throw WireError(.truncated, "the header is not valid protobuf: \(error)")
        }
        guard preamble[3] == UInt8(version) else {
            let theirs = UInt32(preamble[3])
            switch envelope.body {
            case .hello(let hello): return .hello(try Hello(hello, ofVersion: theirs, limits))
            // The answer to such a hello: a relay passes it on, and whoever gets it can say why it is turned away.
            case .reject(let reject): return .reject(try Reject(reject, ofVersion: theirs, limits))
            default:
                throw WireError(.unknownVersion, "protocol version \(theirs), but this process speaks \(version)")
            }
        }
        var arrays = try ArrayReader(frames: frames.dropFirst(2), descriptions: envelope.arrays, limits: limits)
        guard let body = envelope.body else {
            throw WireError(.unknownKind, "the header holds no message kind that this version knows")
        }
        let message = try self.message(of: body, arrays: &arrays, limits: limits)
        try arrays.finish(message.name)
        return message
    }

    /// The elements of each array frame that `header` announces and the bytes of one, nil for a kind that this version
    /// does not know: for whoever makes frames to fit a header. Nothing for bytes that are not a header.
    package static func arrays(announcedBy header: [UInt8]) -> [(count: UInt64, stride: Int?)] {
        let envelope = try? PBEnvelope(serializedBytes: header)
        return (envelope?.arrays ?? []).map { ($0.count, ArrayReader.stride(of: $0.kind)) }
    }

    private static func body(
        of message: Message, arrays: inout ArrayWriter, limits: WireLimits
    ) throws(WireError) -> PBEnvelope.OneOf_Body {
        switch message {
        case .hello(let value): .hello(try PBHello(value, limits))
        case .welcome(let value): .welcome(try PBWelcome(value, limits))
        case .reject(let value): .reject(try PBReject(value, limits))
        case .heartbeat(let value): .heartbeat(try PBHeartbeat(value, limits))
        case .heartbeatReply(let value): .heartbeatReply(PBHeartbeatReply(value))
        case .goodbye(let value): .goodbye(try PBGoodbye(value, limits))
        case .shutdown(let value): .shutdown(try PBShutdown(value, limits))
        case .leaseRequest(let value): .leaseRequest(try PBLeaseRequest(value, limits))
        case .rolloutGrant(let value): .rolloutGrant(try PBRolloutGrant(value, &arrays, limits))
        case .trajectories(let value): .trajectories(try PBTrajectories(value, &arrays, limits))
        case .scoreGrant(let value): .scoreGrant(try PBScoreGrant(value, &arrays, limits))
        case .scores(let value): .scores(try PBScores(value, &arrays, limits))
        case .acknowledge(let value): .acknowledge(try PBAcknowledge(value, limits))
        case .revoke(let value): .revoke(try PBRevoke(value, limits))
        case .weightsAnnounce(let value): .weightsAnnounce(try PBWeightsAnnounce(value, limits))
        case .weightsRequest(let value): .weightsRequest(try PBWeightsRequest(value))
        case .weightsChunk(let value): .weightsChunk(try PBWeightsChunk(value, &arrays))
        case .statusRequest: .statusRequest(PBStatusRequest())
        case .status(let value): .status(try PBStatus(value, limits))
        }
    }

    private static func message(
        of body: PBEnvelope.OneOf_Body, arrays: inout ArrayReader, limits: WireLimits
    ) throws(WireError) -> Message {
        switch body {
        case .hello(let value): .hello(try Hello(value, limits))
        case .welcome(let value): .welcome(try Welcome(value, limits))
        case .reject(let value): .reject(try Reject(value, ofVersion: version, limits))
        case .heartbeat(let value): .heartbeat(try Heartbeat(value, limits))
        case .heartbeatReply(let value): .heartbeatReply(HeartbeatReply(value))
        case .goodbye(let value): .goodbye(try Goodbye(value, limits))
        case .shutdown(let value): .shutdown(try Shutdown(value, limits))
        case .leaseRequest(let value): .leaseRequest(try LeaseRequest(value, limits))
        case .rolloutGrant(let value): .rolloutGrant(try RolloutGrant(value, &arrays, limits))
        case .trajectories(let value): .trajectories(try Trajectories(value, &arrays, limits))
        case .scoreGrant(let value): .scoreGrant(try ScoreGrant(value, &arrays, limits))
        case .scores(let value): .scores(try Scores(value, &arrays, limits))
        case .acknowledge(let value): .acknowledge(try Acknowledge(value, limits))
        case .revoke(let value): .revoke(try Revoke(value, limits))
        case .weightsAnnounce(let value): .weightsAnnounce(try WeightsAnnounce(value, limits))
        case .weightsRequest(let value): .weightsRequest(try WeightsRequest(value))
        case .weightsChunk(let value): .weightsChunk(try WeightsChunk(value, &arrays))
        case .statusRequest: .statusRequest
        case .status(let value): .status(try Status(value, limits))
        }
    }
}

import Files

/// A file of events that TensorBoard reads: records of length, masked CRC-32C of the length, bytes, and masked CRC-32C of
/// the bytes, numbers little-endian (TensorFlow's `record_writer`).
final class EventFile: Sendable {
    private let file: OpenFile

    /// Makes the file; one of that name must not be there.
    init(_ path: String) throws(TelemetryError) {
        do {
            file = try OpenFile(
                path, .writeOnly, [.create, .exclusiveCreate, .noFollow],
                permissions: [.ownerReadWrite, .groupRead, .otherRead], attempt: .openForWriting)
        } catch { throw TelemetryError(error) }
    }

    /// Appends events and hands them to the system before it returns.
    func append(_ events: [TensorBoardEvent]) throws(TelemetryError) {
        do { try file.write(events.flatMap { Self.record($0.bytes) }) } catch { throw TelemetryError(error) }
    }

    /// The bytes of a record.
    static func record(_ content: [UInt8]) -> [UInt8] {
        let length = withUnsafeBytes(of: UInt64(content.count).littleEndian) { Array($0) }
        return length + checksum(length) + content + checksum(content)
    }

    private static func checksum(_ bytes: [UInt8]) -> [UInt8] {
        let value = crc32c(bytes)
        let masked = (value >> 15 | value << 17) &+ 0xa282_ead8
        return withUnsafeBytes(of: masked.littleEndian) { Array($0) }
    }

    /// CRC-32C (Castagnoli), as RFC 3720 has it in B.4.
    static func crc32c(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~0) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
    }

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0x82f6_3b78 : value >> 1 }
    }
}

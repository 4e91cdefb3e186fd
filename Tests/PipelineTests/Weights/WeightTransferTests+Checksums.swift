import Engines
import Files
import Foundation
import Logging
import Pipeline
import TestSupport
import Testing
import Transport
import Wire

/// The checksums that go with chunks and whole snapshots.
extension WeightTransferTests {
    @Test func checksumIsZlibs() {
        #expect(Array("123456789".utf8).withUnsafeBytes { crc32($0) } == 0xcbf4_3926)
        let bytes = snapshot(4097, 1)
        // Folding and table look-up agree at every length and alignment.
        for count in [0, 1, 15, 16, 63, 64, 65, 127, 1000, 4000] {
            for offset in 0..<17 {
                bytes.withUnsafeBytes { all in
                    let part = UnsafeRawBufferPointer(rebasing: all[offset..<offset + count])
                    #expect(crc32(part) == part.reduce(UInt32.max) { Self.step($0, $1) } ^ .max)
                }
            }
        }
    }

    @Test(arguments: [1, 16, 999, 4096, 10_000])
    func checksumsOfChunksMakeThatOfTheWhole(_ chunk: Int) {
        let snapshot = snapshot(4097, 1)
        let checksums = SnapshotChecksums(snapshot, chunkByteCount: chunk)
        snapshot.withUnsafeBytes { bytes in
            #expect(checksums.whole == crc32(bytes))
            let parts = stride(from: 0, to: bytes.count, by: chunk).map { start in
                UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + chunk, bytes.count)])
            }
            #expect(checksums.chunks == parts.map { crc32($0) })
        }
    }

    /// One byte of CRC-32, bit by bit.
    static func step(_ crc: UInt32, _ byte: UInt8) -> UInt32 {
        (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xedb8_8320 : value >> 1 }
    }
}

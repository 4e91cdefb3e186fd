import CPlatform

/// CRC-32 (zlib's) of `bytes`: about 11 GB/s with carry-less multiplication.
package func crc32(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    cplatform_crc32(0, bytes.baseAddress, bytes.count)
}

extension FileTree {
    /// Size and CRC-32 of a file, which is no link.
    package static func checksum(_ path: String) throws(FileError) -> (size: UInt64, crc32: UInt32) {
        let file = try OpenFile.reading(path, followsLinks: false)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { buffer.deallocate() }
        var size: UInt64 = 0
        var checksum: UInt32 = 0
        while true {
            let count = try file.read(into: buffer)
            size += UInt64(count)
            checksum = cplatform_crc32(checksum, buffer.baseAddress, count)
            if count < buffer.count { return (size, checksum) }
        }
    }
}

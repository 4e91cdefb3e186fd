import CPlatform

/// CRC-32 (zlib's) of `bytes`: about 11 GB/s with carry-less multiplication.
package func crc32(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    cplatform_crc32(0, bytes.baseAddress, bytes.count)
}

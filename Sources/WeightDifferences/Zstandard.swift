import CZstandard

/// Frames of zstd: its entropy coder takes a stream of small numbers to within a hundredth of its order-0 entropy at
/// hundreds of megabytes a second each way, several times as fast as zlib's deflate, which the toolchain brings along.
enum Zstandard {
    /// The fastest level that codes entropy: gaps and steps repeat no strings worth a search.
    private static let level: Int32 = 1

    /// One frame with all `bytes`; nothing where each of them is 0.
    static func compressed(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        guard bytes.contains(where: { $0 != 0 }) else { return [] }
        let bound = ZSTD_compressBound(bytes.count)
        return [UInt8](unsafeUninitializedCapacity: bound) { frame, count in
            let code = ZSTD_compress(frame.baseAddress, bound, bytes.baseAddress, bytes.count, level)
            // A destination of the bound always suffices; what is left to fail is memory.
            precondition(ZSTD_isError(code) == 0, "zstd: \(String(cString: ZSTD_getErrorName(code)))")
            count = code
        }
    }

    /// The `count` bytes that a frame stands for.
    static func decompressed(_ frame: UnsafeRawBufferPointer, count: Int) throws(DifferenceError) -> [UInt8] {
        guard !frame.isEmpty else { return [UInt8](repeating: 0, count: count) }
        var code = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { bytes, initialized in
            code = ZSTD_decompress(bytes.baseAddress, count, frame.baseAddress, frame.count)
            initialized = ZSTD_isError(code) == 0 ? code : 0
        }
        guard ZSTD_isError(code) == 0, bytes.count == count else {
            throw DifferenceError("a stream is no zstd frame of \(count) bytes")
        }
        return bytes
    }
}

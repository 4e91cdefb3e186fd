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

    /// Writes what a frame stands for, which must be as many bytes as there is memory.
    static func decompress(
        _ frame: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer
    ) throws(DifferenceError) {
        guard !frame.isEmpty else {
            bytes.initializeMemory(as: UInt8.self, repeating: 0)
            return
        }
        let code = ZSTD_decompress(bytes.baseAddress, bytes.count, frame.baseAddress, frame.count)
        guard ZSTD_isError(code) == 0, code == bytes.count else {
            throw DifferenceError("a stream is no zstd frame of \(bytes.count) bytes")
        }
    }
}

import CKernels

/// Conversions between the element types of files and f32. Sources are little-endian at any alignment.
enum Quantization {
    static func floats(fromF16 bytes: UnsafeRawBufferPointer, into out: UnsafeMutableBufferPointer<Float>) {
        precondition(bytes.count == out.count * 2)
        guard let source = bytes.baseAddress, let base = out.baseAddress else { return }
        opd_f16_to_f32(base, source, out.count)
    }

    static func floats(fromBF16 bytes: UnsafeRawBufferPointer, into out: UnsafeMutableBufferPointer<Float>) {
        precondition(bytes.count == out.count * 2)
        guard let source = bytes.baseAddress, let base = out.baseAddress else { return }
        opd_bf16_to_f32(base, source, out.count)
    }

    /// Rounds to nearest even.
    static func bf16(from floats: UnsafeBufferPointer<Float>, into out: UnsafeMutableBufferPointer<UInt16>) {
        precondition(floats.count == out.count)
        guard let source = floats.baseAddress, let base = out.baseAddress else { return }
        opd_f32_to_bf16(base, source, out.count)
    }
}

import CKernels

/// How a matrix element is stored.
package enum ElementType: String, Sendable, Codable, CaseIterable {
    case f32
    case bf16

    /// Bytes of one element.
    package var byteCount: Int { self == .f32 ? 4 : 2 }

    /// The kernels' type code; the oneDNN shim's is the same.
    package var code: Int32 { Int32(self == .f32 ? CK_F32 : CK_BF16) }
}

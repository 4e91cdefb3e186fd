import CKernels
import Rules

extension ElementType {
    /// The kernels' type code; the oneDNN shim's is the same.
    package var code: Int32 { Int32(self == .f32 ? CK_F32 : CK_BF16) }
}

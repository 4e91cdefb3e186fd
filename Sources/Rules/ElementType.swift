/// How a matrix element is stored.
package enum ElementType: String, Sendable, Codable, CaseIterable {
    case f32
    case bf16

    /// Bytes of one element.
    package var byteCount: Int { self == .f32 ? 4 : 2 }
}

/// How a model's matrices are stored, sent and computed with; norms and everything that is summed up stay f32.
package enum WeightType: String, Sendable, Codable, CaseIterable {
    case f32
    case bf16
}

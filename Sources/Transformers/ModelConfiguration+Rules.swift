import Compute
import Models
import Rules

// What a configuration says to the operations that compute with it.

extension ModelConfiguration {
    /// What attention of a layer does beside its shape. A window that no sequence of the context leaves is none.
    package func attentionRule(layer: Int) -> AttentionRule {
        let window = kind(ofLayer: layer).isSliding ? slidingWindow ?? 0 : 0
        return AttentionRule(
            window: window < maxPositions ? window : 0, softCap: attentionSoftCap ?? 0, scale: multipliers.attention)
    }

    /// What becomes of the head's products before the temperature.
    package var headRule: HeadRule {
        HeadRule(logitScale: 1 / multipliers.logitDivisor, softCap: logitSoftCap ?? 0)
    }

    /// How tokens choose experts; nil where no layer has any.
    var expertRule: ExpertRule? {
        experts.map {
            ExpertRule(perRow: $0.perToken, normalizesChosen: $0.normalizesChosen, activation: activation)
        }
    }

    /// What embeddings are multiplied with in a compute type.
    func embeddingScale(in type: ElementType) -> Float {
        guard family.roundsEmbeddingMultiplier, type == .bf16 else { return multipliers.embedding }
        let rounded = Tensor(rows: 1, columns: 1, type: .bf16)
        rounded.fill(multipliers.embedding)
        return rounded.floats()[0]
    }
}

/// What one layer's queries see, and whether positions turn them.
package struct LayerKind: Sendable, Equatable {
    /// Whether a query sees only the last `slidingWindow` positions, its own included.
    package var isSliding: Bool
    /// Whether queries and keys are rotated by their positions.
    package var hasRope: Bool

    package init(isSliding: Bool = false, hasRope: Bool = true) {
        self.isSliding = isSliding
        self.hasRope = hasRope
    }

    /// The layer of most families: every position is seen, all are rotated.
    package static let plain = LayerKind()
}

extension [LayerKind] {
    /// The kinds of all layers, or none where all are plain.
    package init(count: Int, _ kind: (_ layer: Int) throws -> LayerKind) rethrows {
        let kinds = try (0..<count).map(kind)
        self = kinds.allSatisfy { $0 == .plain } ? [] : kinds
    }

    /// Layers of which every last of `pattern` sees all positions and the others slide.
    package init(count: Int, slidingPattern pattern: Int) {
        self.init(count: count) { LayerKind(isSliding: ($0 + 1) % pattern != 0) }
    }
}

import Compute
import Models

/// The cosines and sines of all rotary embeddings of a model, for as many positions as were needed so far.
struct RopeTables {
    private let configuration: ModelConfiguration
    private var positions: Int
    private var tables: [Key: RopeTable] = [:]
    /// Which embedding each layer has; nil: none.
    private let ofLayer: [Key?]

    private struct Key: Hashable {
        var isSliding: Bool
        var isLong = false
    }

    init(_ configuration: ModelConfiguration) {
        self.configuration = configuration
        positions = min(configuration.maxPositions, 2048)
        ofLayer = (0..<configuration.layerCount).map { layer in
            let kind = configuration.kind(ofLayer: layer)
            return kind.hasRope ? Key(isSliding: kind.isSliding && configuration.slidingRope != nil) : nil
        }
        makeTables()
    }

    /// The table of a layer for sequences of up to `configuration.longRopeAbove` tokens, or for longer ones; nil where
    /// positions turn nothing.
    func table(layer: Int, isLong: Bool) -> RopeTable? {
        guard var key = ofLayer[layer] else { return nil }
        key.isLong = isLong && configuration.longRopeAbove != nil
        return tables[key]
    }

    /// Makes room for positions below `count`.
    mutating func grow(to count: Int) {
        guard count > positions else { return }
        positions = max(count, min(configuration.maxPositions, positions * 2))
        makeTables()
    }

    private mutating func makeTables() {
        for key in Set(ofLayer.compactMap(\.self)) {
            let rope = key.isSliding ? configuration.slidingRope ?? configuration.rope : configuration.rope
            for isLong in configuration.longRopeAbove == nil ? [false] : [false, true] {
                tables[Key(isSliding: key.isSliding, isLong: isLong)] = configuration.ropeTable(
                    rope, positions: positions, isLong: isLong)
            }
        }
    }
}

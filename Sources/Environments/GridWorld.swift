import Randomness

/// A goal is to be reached on a square, by `north`, `south`, `east` and `west`.
///
/// The last of these words in a turn is the move. Place and goal are drawn from the seed and never the same; a turn
/// without a move is told where it stands.
package struct GridWorld: Environment {
    package struct Place: Sendable, Equatable {
        package var column: Int
        package var row: Int
    }

    /// Fields a side, at least 2.
    package let size: Int
    package private(set) var place = Place(column: 0, row: 0)
    package private(set) var goal = Place(column: 1, row: 1)

    package init(size: Int) { self.size = max(size, 2) }

    package mutating func reset(_ start: EpisodeStart) {
        let fields = UInt64(size * size)
        let first = SplitMix64.mix(start.seed &+ SplitMix64.increment) % fields
        // Any other field as likely.
        let second = (first + 1 + SplitMix64.mix(start.seed &+ 2 &* SplitMix64.increment) % (fields - 1)) % fields
        place = Place(column: Int(first) % size, row: Int(first) / size)
        goal = Place(column: Int(second) % size, row: Int(second) / size)
    }

    package mutating func step(_ text: String) -> EnvironmentStep {
        let words = text.lowercased().split { !$0.isLetter }
        switch words.last(where: { ["north", "south", "east", "west"].contains($0) }) {
        case "north": place.row = max(place.row - 1, 0)
        case "south": place.row = min(place.row + 1, size - 1)
        case "west": place.column = max(place.column - 1, 0)
        case "east": place.column = min(place.column + 1, size - 1)
        default: break
        }
        if place == goal { return .done(reward: 1) }
        return EnvironmentStep(
            "you: \(place.column),\(place.row) goal: \(goal.column),\(goal.row)\n", reward: 0)
    }
}

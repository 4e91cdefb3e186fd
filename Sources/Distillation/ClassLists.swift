/// Tokens of every position of a response that are classes of their own, beside all others together as one more.
package struct ClassLists: Sendable, Equatable {
    /// The tokens, ascending in each position.
    package private(set) var ids: [Int32] = []
    /// How many of them each position has.
    package private(set) var counts: [Int] = []

    /// Those that a teacher lists.
    package init(_ top: TopTokens) {
        ids = top.ids
        counts = [Int](repeating: top.count, count: top.tails.count)
    }

    /// Those that any of several teachers lists; at least one, all of the same positions.
    package init(_ tops: [TopTokens]) {
        for position in tops[0].tails.indices {
            let listed = Set(tops.flatMap { $0.ids(at: position) }).sorted()
            ids += listed
            counts.append(listed.count)
        }
    }
}

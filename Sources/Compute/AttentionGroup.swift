/// Segments of one batch that see each other's rows: a tree of continuations.
///
/// The root starts at position 0; every other segment starts where the one it continues ends, and its rows see their
/// own segment and all those it descends from. Rows are those of the whole batch.
package struct AttentionGroup: Sendable {
    /// A segment and how many of those that follow it in the list continue it, directly or not.
    package struct Node: Sendable {
        package var segment: Segment
        package var descendants: Int

        package init(_ segment: Segment, descendants: Int = 0) {
            self.segment = segment
            self.descendants = descendants
        }
    }

    /// The segments in pre-order: each before those that continue it.
    package var nodes: [Node]

    package init(_ nodes: [Node]) { self.nodes = nodes }

    /// A prompt with the responses that continue it.
    package init(prompt: Segment, responses: [Segment] = []) {
        nodes = [Node(prompt, descendants: responses.count)] + responses.map { Node($0) }
    }

    /// A segment that several groups continue, and those groups.
    package init(root: Segment, continuedBy groups: [AttentionGroup]) {
        let rest = groups.flatMap(\.nodes)
        nodes = [Node(root, descendants: rest.count)] + rest
    }

    package var segments: [Segment] { nodes.map(\.segment) }

    /// Whether positions and descendants agree: what the kernel relies on.
    var isTree: Bool {
        // Ends of the segments that the next one may continue, with the first index past their descendants.
        var open: [(end: Int, until: Int)] = []
        for (index, node) in nodes.enumerated() {
            while let last = open.last, last.until <= index { open.removeLast() }
            let until = index + 1 + node.descendants
            guard node.segment.startPosition == open.last?.end ?? 0, index == 0 || !open.isEmpty,
                node.descendants >= 0, until <= open.last?.until ?? nodes.count
            else { return false }
            open.append((node.segment.startPosition + node.segment.count, until))
        }
        return true
    }
}

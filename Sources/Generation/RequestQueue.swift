/// Requests that wait for a slot.
///
/// Those that may run longest come first: the last ones to run are then short, and few slots stand empty while they end.
/// Among equals the first to come is served first. Somebody who keeps a queue filled may so keep short requests waiting.
package struct RequestQueue {
    /// Neighbours with equal prompts and limits, which share their prefill.
    package struct Group {
        package let promptIDs: [Int32]
        /// Most tokens of each.
        package let maxTokens: Int
        package fileprivate(set) var requests: [SampleRequest]
    }

    private var groups: [Group] = []

    package init() {}

    package var count: Int { groups.reduce(0) { $0 + $1.requests.count } }
    /// What is served next.
    package var first: Group? { groups.first }

    package mutating func append(_ requests: [SampleRequest]) {
        var added: [Group] = []
        for request in requests {
            let maxTokens = request.parameters.maxTokens
            if let last = added.last, last.maxTokens == maxTokens, last.promptIDs == request.promptIDs {
                added[added.count - 1].requests.append(request)
            } else {
                added.append(Group(promptIDs: request.promptIDs, maxTokens: maxTokens, requests: [request]))
            }
        }
        // Sorting is not promised to keep the order of equals.
        groups = (groups + added).enumerated().sorted {
            ($1.element.maxTokens, $0.offset) < ($0.element.maxTokens, $1.offset)
        }.map(\.element)
    }

    /// Takes the first group, or so many of its requests.
    package mutating func takeFirst(atMost count: Int) -> Group {
        var taken = groups[0]
        guard taken.requests.count > count else { return groups.removeFirst() }
        taken.requests = Array(groups[0].requests.prefix(count))
        groups[0].requests.removeFirst(count)
        return taken
    }

    package mutating func remove(where isRemoved: (SampleRequest) -> Bool) {
        for index in groups.indices { groups[index].requests.removeAll(where: isRemoved) }
        groups.removeAll(where: \.requests.isEmpty)
    }
}

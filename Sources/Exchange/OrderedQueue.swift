import DequeModule

/// Values waiting in ascending order, each once. For the hundreds or thousands that a run has open at a time.
///
/// They come and go at the ends mostly, where a deque has nothing to move.
struct OrderedQueue<Element: Comparable & Sendable>: Sendable {
    private(set) var elements: Deque<Element> = []

    var isEmpty: Bool { elements.isEmpty }
    var count: Int { elements.count }
    var first: Element? { elements.first }

    /// Index of the first element that is not below `element`.
    private func position(_ element: Element) -> Int {
        var range = 0..<elements.count
        while !range.isEmpty {
            let middle = (range.lowerBound + range.upperBound) / 2
            if elements[middle] < element {
                range = (middle + 1)..<range.upperBound
            } else {
                range = range.lowerBound..<middle
            }
        }
        return range.lowerBound
    }

    mutating func insert(_ element: Element) {
        let index = position(element)
        if index < elements.count, elements[index] == element { return }
        elements.insert(element, at: index)
    }

    mutating func remove(_ element: Element) {
        let index = position(element)
        if index < elements.count, elements[index] == element { elements.remove(at: index) }
    }
}

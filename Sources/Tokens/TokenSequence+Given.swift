extension TokenSequence {
    /// Tokens of the response that are predicted.
    package var predictedCount: Int { given.reduce(responseIDs.count) { $0 - $1.count } }

    /// Where the predicted tokens stand in the response, in order; none is empty.
    package var predicted: [Range<Int>] {
        guard !given.isEmpty else { return responseIDs.isEmpty ? [] : [responseIDs.indices] }
        var ranges: [Range<Int>] = [], start = 0
        for span in given {
            if start < span.lowerBound { ranges.append(start..<span.lowerBound) }
            start = span.upperBound
        }
        if start < responseIDs.count { ranges.append(start..<responseIDs.count) }
        return ranges
    }

    /// Why `given` cannot be what an environment said in between: a line's part for a person; nil where it can.
    package var flawOfGiven: String? {
        var end = 0
        for span in given {
            guard !span.isEmpty else { return "a span of given tokens is empty" }
            guard span.lowerBound > end else {
                return "given tokens at \(span.lowerBound) follow no sampled token"
            }
            end = span.upperBound
        }
        guard given.isEmpty || end < responseIDs.count else {
            return "no sampled token follows the given ones, which end at \(end) of \(responseIDs.count)"
        }
        return nil
    }

    /// The part of an array that belongs to predicted tokens.
    /// - Parameters:
    ///   - values: so many for each token of the response.
    ///   - each: how many, at least 0.
    package func ofPredicted<Element>(_ values: [Element], each: Int = 1) -> [Element] {
        guard !given.isEmpty else { return values }
        return predicted.flatMap { values[$0.lowerBound * each..<$0.upperBound * each] }
    }

    /// An array of one value a predicted token as one of a value a token of the response.
    /// - Parameter filler: the value of given tokens.
    package func spread<Element>(_ values: [Element], filler: Element) -> [Element] {
        guard !given.isEmpty else { return values }
        var result = [Element](repeating: filler, count: responseIDs.count), next = 0
        for range in predicted {
            for index in range where next < values.count {
                result[index] = values[next]
                next += 1
            }
        }
        return result
    }
}

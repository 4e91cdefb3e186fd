/// The slopes of a function at a point, one a coordinate, by central differences.
///
/// The error is of the order of the square of the width, and of the function's rounding divided by the width: with values
/// about 1 in f64 some 1e-10 in all at the default.
/// - Parameter width: half the distance of the two points that are compared.
package func finiteDifferences(
    at point: [Double], width: Double = 1e-5, _ function: ([Double]) -> Double
) -> [Double] {
    point.indices.map { index in
        var above = point, below = point
        above[index] += width
        below[index] -= width
        return (function(above) - function(below)) / (above[index] - below[index])
    }
}

extension [Double] {
    /// The largest difference between these values and others, infinite where there are fewer or more, or no numbers.
    package func distance(to others: [Double]) -> Double {
        guard count == others.count else { return .infinity }
        return zip(self, others).reduce(0) { $1.0 == $1.1 ? $0 : Swift.max($0, ($1.0 - $1.1).magnitudeOrInfinity) }
    }
}

extension Double {
    fileprivate var magnitudeOrInfinity: Double { isNaN ? .infinity : magnitude }
}

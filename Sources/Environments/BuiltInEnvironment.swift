import Wording

/// The environments that come with opd, by name and parameters: `guess:limit=20`.
package enum BuiltInEnvironment: Sendable, Equatable {
    /// Tools that calculate: `calc(12*(3+4))`.
    case calculator
    /// A number of 1 ... limit that is to be found.
    case guess(limit: Int)
    /// A goal that is to be reached on a square of so many fields a side.
    case grid(size: Int)

    /// - Throws: `UsageError` for a name or a parameter that there is not.
    package init(named text: String) throws(UsageError) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let parameter = parts.count > 1 ? String(parts[1]) : nil
        switch parts[0] {
        case "calculator" where parameter == nil: self = .calculator
        case "guess": self = .guess(limit: try Self.number("limit", parameter, default: 20, 2...1_000_000, text))
        case "grid": self = .grid(size: try Self.number("size", parameter, default: 4, 2...1000, text))
        default:
            throw UsageError("there is no '\(text)'; choose calculator, guess, guess:limit=N, grid or grid:size=N")
        }
    }

    private static func number(
        _ name: String, _ parameter: String?, default value: Int, _ range: ClosedRange<Int>, _ text: String
    ) throws(UsageError) -> Int {
        guard let parameter else { return value }
        let parts = parameter.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == name, let number = Int(parts[1]), range.contains(number) else {
            throw UsageError("'\(text)' takes \(name)=N, N from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// Its full name, with all parameters.
    package var description: String {
        switch self {
        case .calculator: "calculator"
        case .guess(let limit): "guess:limit=\(limit)"
        case .grid(let size): "grid:size=\(size)"
        }
    }

    /// Whether every episode has a reward, 0 where it was cut short.
    package var givesReward: Bool { self != .calculator }

    /// An environment for one episode.
    package func make() -> any Environment {
        switch self {
        case .calculator: CalculatorTool()
        case .guess(let limit): NumberGuessing(limit: limit)
        case .grid(let size): GridWorld(size: size)
        }
    }
}

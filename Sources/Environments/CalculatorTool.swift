/// A calculator: the last `calc(...)` of a turn is answered by its value; a turn without one ends the episode.
///
/// Numbers, `+ - * /` and parentheses are what it knows. It gives no reward: who asks judges the last turn.
package struct CalculatorTool: Environment {
    package init() {}

    package mutating func reset(_ start: EpisodeStart) {}

    package mutating func step(_ text: String) -> EnvironmentStep {
        guard let call = text.ranges(of: "calc(").last else { return .done() }
        // From its parenthesis on, to the one that closes it.
        let from = text[text.index(before: call.upperBound)...]
        var expression = CalculatorExpression(from.utf8.prefix(CalculatorExpression.longest))
        guard let value = expression.parenthesized(), value.isFinite else { return EnvironmentStep("error\n") }
        return EnvironmentStep(Self.text(value) + "\n")
    }

    /// A whole number without a point, another with what digits it needs.
    static func text(_ value: Double) -> String {
        value.rounded() == value && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }
}

/// A sum as a calculator reads it, by recursive descent: bounded in length and in depth.
struct CalculatorExpression {
    static let longest = 256
    private static let deepest = 32
    private var bytes: ArraySlice<UInt8>
    private var depth = 0

    init(_ bytes: some Sequence<UInt8>) {
        self.bytes = Array(bytes.filter { $0 != UInt8(ascii: " ") })[...]
    }

    /// `( sum )`; nil where it is none.
    mutating func parenthesized() -> Double? {
        guard depth < Self.deepest, take("(") else { return nil }
        depth += 1
        defer { depth -= 1 }
        guard let value = sum(), take(")") else { return nil }
        return value
    }

    private mutating func sum() -> Double? {
        guard var value = product() else { return nil }
        while true {
            let isMinus = bytes.first == UInt8(ascii: "-")
            guard take("+") || take("-") else { return value }
            guard let other = product() else { return nil }
            value += isMinus ? -other : other
        }
    }

    private mutating func product() -> Double? {
        guard var value = factor() else { return nil }
        while true {
            let isQuotient = bytes.first == UInt8(ascii: "/")
            guard take("*") || take("/") else { return value }
            guard let other = factor() else { return nil }
            value = isQuotient ? value / other : value * other
        }
    }

    private mutating func factor() -> Double? {
        guard take("-") else { return bytes.first == UInt8(ascii: "(") ? parenthesized() : number() }
        // Another sign would be read without a bound.
        guard let value = bytes.first == UInt8(ascii: "(") ? parenthesized() : number() else { return nil }
        return -value
    }

    private mutating func number() -> Double? {
        let digits = bytes.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: ".") }
        bytes = bytes.dropFirst(digits.count)
        return digits.isEmpty ? nil : Double(String(decoding: digits, as: UTF8.self))
    }

    private mutating func take(_ character: Character) -> Bool {
        guard let byte = character.asciiValue, bytes.first == byte else { return false }
        bytes = bytes.dropFirst()
        return true
    }
}

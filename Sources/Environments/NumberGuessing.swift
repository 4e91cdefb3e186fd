import Randomness

/// A number is to be found: every guess is answered by whether it is higher or lower.
///
/// The guess is the last number of a turn. The seed alone decides the number, so that the samples of one prompt look for
/// the same.
package struct NumberGuessing: Environment {
    /// The largest number; the least is 1.
    package let limit: Int
    package private(set) var secret = 1

    package init(limit: Int) { self.limit = max(limit, 1) }

    package mutating func reset(_ start: EpisodeStart) {
        secret = 1 + Int(SplitMix64.mix(start.seed &+ SplitMix64.increment) % UInt64(limit))
    }

    package mutating func step(_ text: String) -> EnvironmentStep {
        guard let guess = Self.lastNumber(text) else { return EnvironmentStep("a number of 1 to \(limit), please\n") }
        if guess == secret { return .done(reward: 1) }
        return EnvironmentStep(guess < secret ? "higher\n" : "lower\n", reward: 0)
    }

    /// The last digits in a row, as far as they are a number that a guess may be.
    static func lastNumber(_ text: String) -> Int? {
        let bytes = Array(text.utf8), digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard let last = bytes.lastIndex(where: digits.contains) else { return nil }
        let first = bytes[..<last].lastIndex { !digits.contains($0) }.map { $0 + 1 } ?? 0
        return Int(String(decoding: bytes[first...last], as: UTF8.self)) ?? .max
    }
}

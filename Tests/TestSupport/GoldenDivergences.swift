import Distillation
import Foundation

/// What torch says of divergences in f64, by its own differentiation of the sources' formulas; made by
/// scripts/golden/divergences.py.
package enum GoldenDivergences {
    /// The logits of a student and of its teacher, and what divergences they have.
    package struct Position: Decodable {
        package var student: [Double]
        package var teacher: [Double]
        /// The teacher's most probable tokens, the student's, and both.
        package var top: [Int32]
        package var studentTop: [Int32]
        package var unionTop: [Int32]
        package var divergences: [Expected]
    }

    /// A divergence by the name that the configuration has for it.
    package struct Expected: Decodable {
        package var name: String
        package var parameter: Double
        /// That of the whole vocabulary.
        package var full: Result
        /// That of the listed tokens and of the tail, whoever lists them.
        package var classes: Result
        package var studentClasses: Result
        package var unionClasses: Result

        package var divergence: Divergence? {
            switch name {
            case "reverse_kl": .reverseKL
            case "forward_kl": .forwardKL
            case "jsd": .jensenShannon(beta: parameter)
            case "skew_kl": .skewKL(skew: parameter)
            case "skew_reverse_kl": .skewReverseKL(skew: parameter)
            default: nil
            }
        }
    }

    /// A divergence in nats, and its gradient by the student's logits.
    package struct Result: Decodable {
        package var value: Double
        package var gradient: [Double]
    }

    package static func positions() throws -> [Position] {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let file = tests.appending(path: "Fixtures/golden/divergences.json")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode([Position].self, from: Data(contentsOf: file))
    }
}

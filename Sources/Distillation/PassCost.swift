/// What a pass over one sequence costs, in multiplications and additions, as numbers that can be sent.
package struct PassCost: Sendable, Equatable, Codable {
    /// Operations a token.
    package var perToken: Double
    /// Further operations a response token, as the head's.
    package var perResponseToken: Double
    /// Operations a pair of a token and one that it attends to, itself included.
    package var perPair: Double

    package init(perToken: Double, perResponseToken: Double, perPair: Double) {
        self.perToken = perToken
        self.perResponseToken = perResponseToken
        self.perPair = perPair
    }

    /// The same as a function of the lengths, which must be linear in tokens, response tokens and pairs.
    package init(_ operations: (_ prompt: Int, _ response: Int) -> Double) {
        let one = operations(1, 0)
        perPair = operations(2, 0) - 2 * one
        perToken = one - perPair
        perResponseToken = operations(0, 1) - one
    }

    /// - Parameters:
    ///   - prompt: tokens without a log-probability.
    ///   - response: tokens with one.
    package func operations(prompt: Int, response: Int) -> Double {
        let tokens = Double(prompt + response)
        return perToken * tokens + perResponseToken * Double(response) + perPair * (tokens * (tokens + 1) / 2)
    }
}

extension CostModel {
    /// - Parameter training: nil: three forward passes of the student.
    package init(student: PassCost, training: PassCost?, teachers: [String: PassCost]) {
        func forward(_ cost: PassCost) -> Forward { { cost.operations(prompt: $0, response: $1) } }
        self.init(
            student: forward(student), training: training.map(forward), teachers: teachers.mapValues(forward))
    }

    /// Notes what a teacher's passes cost.
    package mutating func add(teacher: String, _ cost: PassCost) {
        teachers[teacher] = { cost.operations(prompt: $0, response: $1) }
    }
}

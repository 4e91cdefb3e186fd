import Distillation
import Foundation
import JSON

/// The most probable tokens of positions, as vLLM lists them: an object a position that has them and the given token, by
/// their ids as decimal strings, in no order.
struct ListedTokens {
    private let count: Int
    private let bound: Int32
    private var ids: [Int32] = []
    private var logprobs: [Float] = []
    private var tails: [Float] = []

    /// Rounding may lift the sum of probabilities above 1 by so much, and the tail below 0.
    private static let massTolerance = 1e-3
    /// The least that all tokens that are not listed have together: less is lost in the rounding of the others.
    private static let leastTail = 1e-6

    /// - Parameters:
    ///   - count: tokens a position.
    ///   - below: ids of the student's vocabulary are below this.
    init(count: Int, below: Int32) {
        self.count = count
        bound = below
    }

    var tokens: TopTokens { TopTokens(count: count, ids: ids, logprobs: logprobs, tails: tails) }

    /// Adds the position of a given token.
    mutating func append(_ element: JSONValue, given: Int32, at place: Int) throws(AnswerFlaw) {
        guard let members = element.object?.members, members.count == count || members.count == count + 1 else {
            throw AnswerFlaw(
                "token \(place) has \(element.object?.members.count ?? 0) listed tokens where \(count) were asked for")
        }
        var listed: [(id: Int32, logprob: Float)] = []
        for member in members {
            guard let id = Int32(member.key), (0..<bound).contains(id), String(id) == member.key else {
                throw AnswerFlaw(
                    "token \(place) has '\(member.key.prefix(40))' among its most probable tokens, which is no id of the student's \(bound) tokens"
                )
            }
            let logprob = try AnswerReading.given(member.value["logprob"], at: place)
            listed.append((id, logprob))
        }
        listed.sort { $0.id < $1.id }
        guard zip(listed, listed.dropFirst()).allSatisfy({ $0.id != $1.id }) else {
            throw AnswerFlaw("token \(place) has a listed token twice")
        }
        if listed.count > count, let index = listed.firstIndex(where: { $0.id == given }) {
            // The given token stands beside those that are more probable.
            let own = listed.remove(at: index)
            let least = listed.map(\.logprob).min() ?? 0
            guard own.logprob <= least + Float(AnswerReading.rounding) else {
                throw AnswerFlaw("the tokens listed at token \(place) are not the most probable ones")
            }
        }
        guard listed.count == count else {
            throw AnswerFlaw("token \(place) has \(listed.count) listed tokens where \(count) were asked for")
        }
        guard listed.allSatisfy({ $0.logprob.isFinite }) else {
            throw AnswerFlaw("token \(place) has an impossible token among the most probable ones")
        }
        let mass = listed.reduce(0) { $0 + exp(Double($1.logprob)) }
        guard mass <= 1 + Self.massTolerance else {
            throw AnswerFlaw("the probabilities of the tokens listed at token \(place) add up to \(mass)")
        }
        ids += listed.map(\.id)
        logprobs += listed.map(\.logprob)
        tails.append(Float(log(max(1 - mass, Self.leastTail))))
    }
}

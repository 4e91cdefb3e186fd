import Distillation
import JSON

/// What is read alike in the answers of every kind of server.
enum AnswerReading {
    /// A log-probability may be this far above 0, by rounding; it is taken for 0.
    static let rounding = 1e-5
    /// JSON has no infinity: vLLM writes -9999 for it. No model gives a token so little otherwise.
    static let impossible = -9990.0
    /// Values of an answer that are not about a single token.
    private static let fixedValueCount = 4096
    /// Values about one token: it, perhaps its rank and its text, for the token and a few others.
    private static let valuesPerToken = 64

    /// Values about one token that is listed beside another.
    private static let valuesPerListedToken = 8

    /// The answer as JSON, which has no more values than one about so many tokens can need.
    /// - Parameter listed: other tokens that are told of beside each.
    static func json(_ body: [UInt8], tokens: Int, listed: Int = 0) throws(AnswerFlaw) -> JSONValue {
        do {
            let perToken = valuesPerToken + valuesPerListedToken * listed
            return try JSONValue.parse(body, limit: fixedValueCount + perToken * tokens)
        } catch {
            throw AnswerFlaw("\(error)")
        }
    }

    /// The one element of an array.
    static func only(_ value: JSONValue?, _ name: String) throws(AnswerFlaw) -> JSONValue {
        guard let elements = value?.array else { throw AnswerFlaw("there are no '\(name)'") }
        guard elements.count == 1 else {
            throw AnswerFlaw("'\(name)' has \(elements.count) elements where one was asked for")
        }
        return elements[0]
    }

    /// The log-probability of a given token.
    /// - Parameter place: of the token, for messages.
    static func given(_ value: JSONValue?, at place: Int) throws(AnswerFlaw) -> Float {
        guard let number = value?.double else {
            throw AnswerFlaw("token \(place) has \(value?.kindName ?? "nothing") for a log-probability")
        }
        guard number.isFinite, number <= rounding else {
            throw AnswerFlaw("token \(place) has \(number) for a log-probability")
        }
        return number <= impossible ? -.infinity : Float(min(number, 0))
    }

    /// The log-probability of a token that was sampled, and so is possible.
    static func sampled(_ value: JSONValue?, at place: Int) throws(AnswerFlaw) -> Float {
        let logprob = try given(value, at: place)
        guard logprob > -.infinity else { throw AnswerFlaw("token \(place) was sampled and is called impossible") }
        return logprob
    }

    /// Refuses what is known to come instead of log-probabilities.
    /// - Parameter logprobs: of a whole sequence but its first token.
    static func check(scores logprobs: [Float]) throws(AnswerFlaw) {
        if logprobs.count > 1, logprobs.allSatisfy({ $0 == 0 }) { throw AnswerFlaw("every log-probability is 0") }
    }

    /// The token ids of a response.
    static func ids(_ value: JSONValue?, vocabularySize: Int) throws(AnswerFlaw) -> [Int32] {
        guard let elements = value?.array else { throw AnswerFlaw("there are no token ids") }
        var ids: [Int32] = []
        ids.reserveCapacity(elements.count)
        for element in elements { ids.append(try id(element, vocabularySize: vocabularySize)) }
        return ids
    }

    static func id(_ value: JSONValue?, vocabularySize: Int = Int(Int32.max)) throws(AnswerFlaw) -> Int32 {
        guard let id = value?.int, (0..<vocabularySize).contains(id) else {
            throw AnswerFlaw(
                "\(value?.int.map(String.init) ?? "a value") is no id of the model's \(vocabularySize) tokens")
        }
        return Int32(id)
    }

    /// What a server says of why a response ended.
    static func finishReason(_ name: String?) throws(AnswerFlaw) -> FinishReason {
        guard let name, let reason = [FinishReason.stop, .length].first(where: { $0.rawValue == name }) else {
            throw AnswerFlaw("the response ended with '\((name ?? "nothing").prefix(40))'")
        }
        return reason
    }
}

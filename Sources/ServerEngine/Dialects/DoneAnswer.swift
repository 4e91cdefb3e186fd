import JSON

/// The answer to a request that something be done: text, or an object that may say that it was not.
enum DoneAnswer {
    private static let mostValues = 100_000

    static func check(_ body: [UInt8]) throws(AnswerFlaw) {
        guard let answer = try? JSONValue.parse(body, limit: mostValues) else { return }
        guard answer["success"]?.bool != false else {
            throw AnswerFlaw("it was not done" + (answer["message"]?.string.map { ": \($0.prefix(200))" } ?? ""))
        }
    }
}

/// What a server says of why it refuses.
enum ErrorAnswer {
    private static let mostValues = 10_000

    /// The message of an OpenAI-like or FastAPI error; nil for any other text.
    static func message(in body: [UInt8]) -> String? {
        guard let answer = try? JSONValue.parse(body, limit: mostValues) else { return nil }
        return answer["error"]?["message"]?.string ?? answer["message"]?.string ?? answer["detail"]?.string
            ?? answer["error"]?.string
    }
}

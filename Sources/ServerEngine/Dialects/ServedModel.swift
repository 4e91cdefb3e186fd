import JSON

/// A model, or adapters of one, that a server says it serves.
package struct ServedModel: Sendable, Equatable {
    /// The name by which requests ask for it.
    package var name: String
    /// Longest sequence, in tokens; nil where the server does not tell.
    package var contextLength: Int?
    /// The model that these adapters belong to; nil for a model itself.
    package var parent: String?

    package init(name: String, contextLength: Int? = nil, parent: String? = nil) {
        self.name = name
        self.contextLength = contextLength
        self.parent = parent
    }

    /// More than any server lists.
    private static let mostModels = 10_000

    /// Reads what `/v1/models` lists.
    package static func all(in body: [UInt8]) throws(AnswerFlaw) -> [ServedModel] {
        guard let list = try AnswerReading.json(body, tokens: mostModels)["data"]?.array, !list.isEmpty else {
            throw AnswerFlaw("the list of models is empty")
        }
        var models: [ServedModel] = []
        for value in list {
            guard let name = value["id"]?.string, !name.isEmpty else { throw AnswerFlaw("a model has no name") }
            let length = value["max_model_len"]?.int
            guard length.map({ (1...(1 << 30)).contains($0) }) ?? true else {
                throw AnswerFlaw("'\(name.prefix(80))' has an impossible context of \(length ?? 0) tokens")
            }
            models.append(ServedModel(name: name, contextLength: length, parent: value["parent"]?.string))
        }
        return models
    }

    /// The ids in an answer of `/tokenize`.
    package static func tokens(in body: [UInt8], textByteCount: Int) throws(AnswerFlaw) -> [Int32] {
        try AnswerReading.ids(
            AnswerReading.json(body, tokens: textByteCount)["tokens"], vocabularySize: Int(Int32.max))
    }
}

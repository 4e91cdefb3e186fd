import Distillation
import Engines
import Locking
import Tokenizers
import Wording

/// What a server is asked before it is given work: whether it has the model that is meant, and tells the truth of it.
package struct ServerProbe: Sendable {
    package let reference: ServerReference
    package let dialect: any ServerDialect
    /// One sequence of every run and process, with the vocabulary's last id in it.
    package let ids: [Int32]
    private let text: ModelText
    /// Whether the weights stay what they are, so that equal questions have equal answers for ever.
    private let isFixed: Bool
    private let first = Locked<[Float]?>(nil)

    private static let words =
        "The student writes 17 + 25 = 42, and its teacher asks: \"Why?\" Because ten and thirty are forty,\nand two more."
    /// Two answers to one question may differ by this much, in nats.
    package static let repeatable: Float = 1e-3
    /// Servers of one model may differ by this much on average: another dtype, another graphics card.
    package static let alike: Float = 0.1
    private static let tries = 3

    package init(
        _ reference: ServerReference, _ dialect: any ServerDialect, _ text: ModelText, isFixed: Bool
    ) throws {
        self.reference = reference
        self.dialect = dialect
        self.text = text
        self.isFixed = isFixed
        ids = try text.tokenizer.encode(Self.words) + [Int32(text.tokenizer.vocabularySize - 1)]
    }

    /// The model of the server that is meant.
    /// - Throws: `UsageError` when it has none such; `CallFailure`.
    package func model(at address: ServerAddress) async throws -> ServedModel {
        let models = try await address.ask(
            .init(dialect.listing) { body throws(AnswerFlaw) in try ServedModel.all(in: body) }
        )
        .filter { $0.parent == nil }
        let names = models.map { "'\($0.name)'" }.joined(separator: ", ")
        guard let name = reference.model else {
            guard models.count == 1 else {
                throw UsageError(
                    "\(reference.key).model: \(address.url) has several models, \(names); name the one meant")
            }
            return models[0]
        }
        guard let model = models.first(where: { $0.name == name }) else {
            throw UsageError(
                "\(reference.key).model: \(address.url) has no model '\(name)'; it has \(names)")
        }
        return model
    }

    /// Compares text and ids, two calls, and the calls of several servers.
    /// - Throws: `UsageError` naming what does not fit; `CallFailure`.
    package func check(_ address: ServerAddress, model: String) async throws {
        try await checkTokens(address, model)
        var scores = try await self.scores(address, model: model)
        guard first.withLock({ $0 }) == nil || !isFixed else {
            // What else the server does at this moment may change the last digits, so two calls tell nothing now.
            return try compare(scores, address)
        }
        var difference: Float = 0
        for _ in 0..<Self.tries {
            let again = try await self.scores(address, model: model)
            difference = zip(scores, again).map { $0 == $1 ? 0 : abs($0 - $1) }.max() ?? 0
            scores = again
            guard difference > Self.repeatable else {
                guard isFixed else { return }
                return first.withLock { $0 = $0 ?? scores }
            }
        }
        throw UsageError(
            "\(reference.key): \(address.url) answers one question with log-probabilities that differ by \(difference); "
                + "start it without what makes it do so, such as --enable-prefix-caching with an old version")
    }

    /// The log-probabilities of the probe's ids but the first.
    package func scores(_ address: ServerAddress, model: String) async throws -> [Float] {
        let dialect = dialect, ids = ids
        return try await address.ask(
            .init(dialect.scoring(ids, model: model)) { body throws(AnswerFlaw) in try dialect.scores(in: body, of: ids)
            })
    }

    /// Asks once for the most probable tokens that this run needs.
    /// - Throws: `UsageError` when the server does not tell so many.
    package func checkTopTokens(_ address: ServerAddress, model: String) async throws {
        let count = reference.topTokens, dialect = dialect, ids = ids
        guard count > 0 else { return }
        let request = GradeRequest.top(count, below: Int32(text.tokenizer.vocabularySize))
        do {
            _ = try await address.ask(
                .init(
                    dialect.scoring(ids, model: model, top: count),
                    answerLimit: scoringAnswerLimit(ids.count, listed: count)
                ) { body throws(AnswerFlaw) in
                    try dialect.grade(in: body, of: ids, promptCount: 1, request)
                })
        } catch let failure as CallFailure where !failure.passes {
            throw UsageError(
                "\(reference.key): \(address.url): \(failure); start it with --max-logprobs \(count), or lower "
                    + "objective.top_k")
        }
    }

    /// Refuses a server that does not agree with what the model's own files say.
    package func compare(with expected: [Float], of files: String) throws {
        guard let scores = first.withLock({ $0 }) else { return }
        let difference = Self.meanDifference(scores, expected)
        guard difference <= Self.alike else {
            throw UsageError(
                "\(reference.key): the server's log-probabilities differ from those of \(files) by "
                    + "\(difference) nats a token; it has another model, or other weights")
        }
    }

    private func compare(_ scores: [Float], _ address: ServerAddress) throws {
        guard let first = first.withLock({ $0 }) else { return }
        let difference = Self.meanDifference(scores, first)
        guard difference <= Self.alike else {
            throw UsageError(
                "\(reference.key): \(address.url) has another model than before, or than the other servers: "
                    + "its log-probabilities differ by \(difference) nats a token")
        }
    }

    package static func meanDifference(_ a: [Float], _ b: [Float]) -> Float {
        guard a.count == b.count, !a.isEmpty else { return .infinity }
        return zip(a, b).map { $0 == $1 ? 0 : abs($0 - $1) }.reduce(0, +) / Float(a.count)
    }

    /// A server that tells how it reads text reads it as the tokenizer does whose ids it is sent.
    private func checkTokens(_ address: ServerAddress, _ model: String) async throws {
        let words = Self.words
        let theirs: [Int32]
        do {
            theirs = try await address.ask(
                .init(dialect.tokenizing(words, model: model)) { body throws(AnswerFlaw) in
                    try ServedModel.tokens(in: body, textByteCount: words.utf8.count)
                })
        } catch let failure as CallFailure where failure.status == 404 || failure.status == 405 {
            return
        }
        guard theirs == ids.dropLast() else {
            throw UsageError(
                "\(reference.key): \(address.url) reads text as other ids than the tokenizer of this run; "
                    + "grades are by token id, so both need the same one")
        }
    }
}

import Engines
import Wire

/// A teacher behind HTTP that grades: any number of requests at once, each of one sequence.
package actor ServerTeacher: ScoringBackend {
    package nonisolated let tokenizerFingerprint: String
    package nonisolated var isReproducible: Bool { false }
    package nonisolated let preferredBatch: ScoringBatch
    package nonisolated var trouble: String? { caller.trouble }
    private nonisolated let caller: ServerCaller
    private let dialect: any ServerDialect
    private let key: String
    private let model: ServedModel

    package init(_ connected: ConnectedServer) {
        tokenizerFingerprint = connected.text.tokenizer.fingerprint
        caller = connected.caller
        dialect = connected.probe.dialect
        key = connected.probe.reference.key
        model = connected.model
        let reference = connected.probe.reference
        // A sequence a piece: each is delivered when it is graded, and the servers' windows decide how many there are.
        preferredBatch = ScoringBatch(
            tokens: 1, tasks: 1, pieces: min(reference.mostRequests * reference.urls.count, Self.mostPieces))
    }

    private static let mostPieces = 1024

    package func score(_ tasks: [ScoreTask]) async throws -> [[Float]] {
        var grades: [[Float]] = []
        for task in tasks { grades.append(try await score(task)) }
        return grades
    }

    private func score(_ task: ScoreTask) async throws -> [Float] {
        let ids = task.ids, dialect = dialect, name = model.name
        if let context = model.contextLength, ids.count >= context {
            throw EngineError(
                "\(key): rollout \(task.id) has \(ids.count) tokens, and the server's context has room for "
                    + "\(context - 1); lower sampling.max_tokens, or start the server with a longer one")
        }
        let logprobs = try await caller.ask(tokens: ids.count) {
            .init(dialect.scoring(ids, model: name), answerLimit: scoringAnswerLimit(ids.count)) {
                body throws(AnswerFlaw) in
                try dialect.scores(in: body, of: ids)
            }
        }
        return Array(logprobs.dropFirst(task.promptCount - 1))
    }
}

/// Most bytes of an answer about so many tokens: a server may tell a token's rank and its text, escaped.
func scoringAnswerLimit(_ tokens: Int) -> Int { (1 << 20) + (tokens << 10) }

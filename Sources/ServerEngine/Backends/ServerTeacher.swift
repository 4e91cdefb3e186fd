import Distillation
import Engines
import Wire

/// A teacher behind HTTP that grades: any number of requests at once, each of one sequence.
package actor ServerTeacher: ScoringBackend {
    package nonisolated let tokenizerFingerprint: String
    package nonisolated var isReproducible: Bool { false }
    package nonisolated let preferredBatch: ScoringBatch
    package nonisolated var trouble: String? { caller.trouble }
    package nonisolated let mostTopTokens: Int
    private nonisolated let caller: ServerCaller
    private let dialect: any ServerDialect
    private let key: String
    private let model: ServedModel

    package init(_ connected: ConnectedServer) {
        tokenizerFingerprint = connected.text.tokenizer.fingerprint
        caller = connected.caller
        dialect = connected.probe.dialect
        mostTopTokens = min(dialect.mostTopTokens, connected.vocabularySize - 1)
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
        for task in tasks { grades.append(try await grade(task, .sampled).logprobs) }
        return grades
    }

    package func grade(_ tasks: [ScoreTask]) async throws -> [Grade] {
        var grades: [Grade] = []
        for task in tasks { grades.append(try await grade(task, task.request)) }
        return grades
    }

    private func grade(_ task: ScoreTask, _ request: GradeRequest) async throws -> Grade {
        let ids = task.ids, dialect = dialect, name = model.name, top = request.topCount
        guard top <= mostTopTokens else {
            throw EngineError("\(key): rollout \(task.id) asks for \(top) tokens a position; use a vllm server")
        }
        if let context = model.contextLength, ids.count >= context {
            throw EngineError(
                "\(key): rollout \(task.id) has \(ids.count) tokens, and the server's context has room for "
                    + "\(context - 1); lower sampling.max_tokens, or start the server with a longer one")
        }
        let limit = scoringAnswerLimit(ids.count, listed: top)
        return try await caller.ask(tokens: ids.count) {
            .init(dialect.scoring(ids, model: name, top: top), answerLimit: limit) { body throws(AnswerFlaw) in
                try dialect.grade(in: body, of: ids, promptCount: task.promptCount, request)
            }
        }
    }
}

/// Most bytes of an answer about so many tokens, and others listed beside each: a server may tell a token's rank and its
/// text, escaped.
func scoringAnswerLimit(_ tokens: Int, listed: Int = 0) -> Int { (1 << 20) + tokens * (1024 + 256 * listed) }

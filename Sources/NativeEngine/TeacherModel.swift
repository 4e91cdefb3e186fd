import Compute
import Distillation
import Engines
import Generation
import Locking
import Models
import Rules
import Transformers
import Wire

/// The scorer's engine: a teacher that grades given tokens, on a thread of its own.
package actor TeacherModel: ScoringBackend {
    package nonisolated let tokenizerFingerprint: String
    package nonisolated var arithmetic: String? { ComputeContext.arithmetic }
    private nonisolated let executor: PinnedThreadExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    package nonisolated let preferredBatch = ScoringBatch.native
    package nonisolated let mostTopTokens: Int
    package nonisolated let sharedHead: SharedHead?
    private let engine: ScoringEngine

    /// Loads the teacher.
    package init(_ files: ModelFiles, type: ElementType, threads: Int) throws {
        tokenizerFingerprint = try files.loadTokenizer().fingerprint
        executor = PinnedThreadExecutor(name: "scorer")
        mostTopTokens = min(TopTokens.mostTokens, files.configuration.vocabularySize)
        let model = try LanguageModel(files, type: type, threads: threads)
        engine = ScoringEngine(model: model)
        sharedHead = SharedHead(try TeacherHead.identity(of: files, type: type, context: model.context))
    }

    package func score(_ tasks: [ScoreTask]) throws -> [[Float]] {
        try engine.score(tasks.map(\.tokens))
    }

    package func grade(_ tasks: [ScoreTask]) throws -> [Grade] {
        try engine.grade(tasks)
    }
}

extension SharedHead {
    init(_ identity: HeadIdentity) {
        self.init(
            vocabularySize: identity.vocabularySize, hiddenSize: identity.hiddenSize,
            format: identity.type == .f32 ? .f32 : .bf16, fingerprint: identity.fingerprint)
    }
}

extension ScoringBatch {
    /// Enough tokens for matrix products that keep the cores busy, and few enough to answer often.
    static let native = ScoringBatch(tokens: 4096, tasks: 64)
}

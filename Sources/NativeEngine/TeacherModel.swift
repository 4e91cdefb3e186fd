import Compute
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
    package nonisolated var arithmetic: String { ComputeContext.arithmetic }
    private nonisolated let executor: PinnedThreadExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    package nonisolated let preferredBatch = ScoringBatch.native
    private let engine: ScoringEngine

    /// Loads the teacher.
    package init(_ files: ModelFiles, type: ElementType, threads: Int) throws {
        tokenizerFingerprint = try files.loadTokenizer().fingerprint
        executor = PinnedThreadExecutor(name: "scorer")
        engine = ScoringEngine(model: try LanguageModel(files, type: type, threads: threads))
    }

    package func score(_ tasks: [ScoreTask]) throws -> [[Float]] {
        try engine.score(tasks.map(\.tokens))
    }
}

extension ScoringBatch {
    /// Enough tokens for matrix products that keep the cores busy, and few enough to answer often.
    static let native = ScoringBatch(tokens: 4096, tasks: 64)
}

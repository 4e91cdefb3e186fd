import Compute
import Generation
import Models
import Wire

/// The scorer's engine: a teacher that grades given tokens, on a thread of its own.
public actor TeacherModel: ScoringBackend {
    public nonisolated let tokenizerFingerprint: String
    public nonisolated var arithmetic: String { ComputeContext.arithmetic }
    private nonisolated let executor: PinnedThreadExecutor
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    private let engine: ScoringEngine

    /// Loads the teacher.
    public init(_ files: ModelFiles, type: ElementType, threads: Int) throws {
        tokenizerFingerprint = try files.loadTokenizer().fingerprint
        executor = PinnedThreadExecutor(name: "scorer")
        engine = ScoringEngine(model: try LanguageModel(files, type: type, threads: threads))
    }

    public func score(_ tasks: [ScoreTask]) throws -> [[Float]] {
        try engine.score(tasks.map(\.ids), from: tasks.map(\.promptCount))
    }
}

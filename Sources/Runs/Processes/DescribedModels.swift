import Configuration
import Distillation
import Engines
import Foundation
import Logging
import Tokenizers
import Wording

/// What a learner knows of the models of its run before it starts.
struct DescribedModels: Sendable {
    var student: ModelDescription
    /// The teachers by label. One whose files are not on this machine is missing: only its members know what it needs.
    var teachers: [String: ModelDescription] = [:]
    /// The longest sequences of teachers at servers that answer this process, by label.
    private var servedContexts: [String: Int] = [:]
    /// The tokenizers that are on this machine, by teacher: of the models above, and those that `teachers.*.tokenizer`
    /// leads to.
    var teacherTokenizers: [String: Tokenizer] = [:]
    /// How teachers with other tokenizers read and write, as far as their files are on this machine, by label.
    var teacherTexts: [String: ModelText] = [:]

    /// Describes what is on this machine, and says of which teacher nothing is known.
    /// - Throws: `UsageError` for what does not fit, and the engine's errors for files that are wrong.
    init(_ configuration: RunConfiguration, engines: EngineChoice, logger: Logger) async throws {
        // The engine that trains it is asked: another may have room for less.
        let student = configuration.trainerReference(log: "")
        self.student = try await namingKeys { try await engines.factory(for: student).describe(student) }
        try await Self.checkSampler(configuration, engines)
        if configuration.kind.sampler == .student,
            let context = try await Self.servedContext(configuration.rolloutReference(log: ""), engines)
        {
            self.student.contextLength = min(self.student.contextLength, context)
        }
        for (label, model) in configuration.usedTeachers.sorted(by: { $0.key < $1.key }) {
            if let tokenizer = model.tokenizer, FileManager.default.fileExists(atPath: tokenizer) {
                var reference = configuration.reference(of: model, label: label, log: "")
                reference.path = tokenizer
                teacherTokenizers[label] = try await engines.factory(for: reference).tokenizer(of: reference)
                if model.tokenMap == .bytes {
                    teacherTexts[label] = try await engines.factory(for: reference).text(of: reference)
                }
            }
            if model.server.isGiven {
                let reference = configuration.reference(of: model, label: label, log: "")
                servedContexts[label] = try await Self.servedContext(reference, engines)
                let reads = servedContexts[label].map { "it reads \($0) tokens" } ?? "how much it reads"
                logger.notice(
                    """
                    teachers.\(label): at \(model.server.urls.joined(separator: ", ")); \(reads), its tokenizer is \
                    checked when it joins, its operations are not counted, and the summary has no answers of it
                    """)
                continue
            }
            guard FileManager.default.fileExists(atPath: model.model) else {
                guard !configuration.evaluation.teachers else {
                    throw UsageError(
                        "teachers.\(label): \(model.model) is not on this machine, but with evaluation.teachers the "
                            + "learner asks every teacher; put it there, or leave evaluation.teachers off")
                }
                logger.notice(
                    """
                    teachers.\(label): \(model.model) is not on this machine; its tokenizer is checked when it joins, \
                    its operations are counted as its member tells them, and the summary has no answers of it
                    """)
                continue
            }
            let reference = configuration.reference(of: model, label: label, log: "")
            let described = try await engines.factory(for: reference).describe(reference)
            teachers[label] = described
            if model.tokenMap == .bytes, let text = described.text { teacherTexts[label] = text }
            if let tokenizer = described.text?.tokenizer { teacherTokenizers[label] = tokenizer }
        }
        sayWhatIsLeftOut(logger)
    }

    /// Refuses a student that torch trains and the native engine does not know: workers would end and begin for ever.
    private static func checkSampler(_ configuration: RunConfiguration, _ engines: EngineChoice) async throws {
        guard configuration.kind.sampler == .student, configuration.student.engine == .torch,
            configuration.rollout.engine == .native
        else { return }
        let sampler = configuration.rolloutReference(log: "")
        do {
            _ = try await engines.factory(for: sampler).describe(sampler)
        } catch {
            throw UsageError("rollout.engine: native does not sample with this student: \(error); set it to torch")
        }
    }

    /// The longest sequences of teachers, as far as they are known, by label.
    var teacherContexts: [String: Int] {
        teachers.mapValues(\.contextLength).merging(servedContexts) { min($0, $1) }
    }

    /// The longest sequence of a model that a server has; nil where it is at none, or where none answers this process,
    /// which the server's own member need not share a machine with: that one then refuses what does not fit.
    private static func servedContext(_ model: ModelReference, _ engines: EngineChoice) async throws -> Int? {
        guard model.server != nil else { return nil }
        var model = model
        model.server?.patience = servedPatience
        do {
            return try await engines.factory(for: model).describe(model).contextLength
        } catch let error as CancellationError {
            throw error
        } catch {
            return nil
        }
    }

    /// How long a server may take to tell a learner how much it reads.
    private static let servedPatience = Duration.seconds(5)

    /// Names the parts of models of several parts that nobody reads, once for each model.
    private func sayWhatIsLeftOut(_ logger: Logger) {
        var said: Set<String> = []
        for model in [student] + teachers.sorted(by: { $0.key < $1.key }).map(\.value)
        where !model.leftOut.isEmpty && said.insert(model.name).inserted {
            logger.notice(
                "\(model.name): its text part alone is read; left out: \(model.leftOut.joined(separator: ", "))")
        }
    }

    /// What passes cost the models of this run; nil where the student's are not known.
    var costModel: CostModel? {
        student.forwardCost.map { forward in
            CostModel(
                student: forward, training: student.trainingCost, teachers: teachers.compactMapValues(\.forwardCost))
        }
    }
}

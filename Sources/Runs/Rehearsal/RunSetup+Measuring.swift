import Configuration
import Distillation
import Engines
import Wire

/// Small pieces of a run's work, timed.
extension RunSetup {
    /// Processes of one kind and the seconds of a step that they take; nil where a server does the work.
    typealias Measured = (processes: [RehearsalReport.Process], seconds: Double?)

    /// Seconds of a step's training, from a batch of one sequence and one of as many as are computed at once. Nothing is
    /// learnt: the learning rate is 0.
    func trainingSeconds(_ load: StepLoad, isSupervised: Bool) async throws -> Double {
        let cost = models.costModel?.training ?? { Double($0 + $1) }
        func operations(_ sequences: [StepLoad.Sequence]) -> Double {
            sequences.reduce(0) { $0 + cost($1.prompt.ids.count, $1.responseIDs.count) }
        }
        func seconds(_ sequences: [StepLoad.Sequence]) async throws -> Double {
            if isSupervised {
                let examples = sequences.map(\.tokens)
                return try await timed {
                    try checkTraining(try await trainer.step(examples, learningRate: 0, version: 0))
                }
            }
            let batch = sequences.enumerated().map { group, sequence in
                sequence.scored(group: group, configuration, heads: plan.heads) {
                    $0.verdict(on: data.tokenizer.decode(sequence.responseIDs, skipSpecialTokens: true))
                }
            }
            let objective = configuration.objective.objective
            return try await timed {
                try checkTraining(try await trainer.step(batch, objective: objective, learningRate: 0, version: 0))
            }
        }
        let one = load.first(tokens: 1), many = load.first(tokens: configuration.training.tokenBudget)
        // What is done for the first time takes longer.
        _ = try await seconds(one)
        let short = try await seconds(one), long = try await seconds(many)
        let given = load.sequences.reduce(0.0) { sum, sequence in
            sum + (sequence.prompt.givenIDs.map { cost(sequence.prompt.ids.count, $0.count) } ?? 0)
        }
        let whole = operations(load.sequences) * Double(load.samples) + given
        let difference = operations(many) - operations(one)
        guard difference > 0, long > short else { return long * whole / operations(many) }
        return max(0, short + (whole - operations(one)) * (long - short) / difference)
    }

    /// What sampling a step takes: by the student, or by every teacher its own prompts, beside each other.
    /// - Parameter together: whether all workers are timed, not one alone with its share.
    func sampling(
        _ load: StepLoad, _ memory: inout ProcessMemory, together: Bool = false
    ) async throws -> Measured {
        let workers = configuration.pipeline.workers
        guard configuration.kind.sampler == .teachers else {
            let reference = configuration.rolloutReference(log: folder.log("torch"))
            let seconds = try await samplingSeconds(
                reference, load.sequences, samples: load.samples, together: together)
            return ([process("rollout worker", workers, reference, &memory)], seconds)
        }
        var measured: Measured = ([], 0)
        for (label, teacher) in teachersHere {
            let sequences = load.sequences.filter { $0.prompt.sampler == label }
            let reference = configuration.reference(of: teacher, label: label, log: folder.log("torch"))
            let seconds = try await samplingSeconds(reference, sequences, samples: load.samples, together: together)
            measured.seconds = longer(measured.seconds, seconds)
            measured.processes.append(process("rollout worker, \(label)", workers, reference, &memory))
        }
        return hasAllTeachers ? measured : (measured.processes, nil)
    }

    /// What grading a step takes, by the scorers of every teacher in turn, each with its share.
    /// - Parameter together: whether all scorers of a teacher are timed, not one alone.
    func grading(
        _ load: StepLoad, _ memory: inout ProcessMemory, together: Bool = false
    ) async throws -> Measured {
        let scorers = configuration.pipeline.scorers
        var measured: Measured = ([], 0)
        for (label, teacher) in teachersHere {
            let reference = configuration.reference(of: teacher, label: label, log: folder.log("torch"))
            var backends: [any ScoringBackend] = []
            for _ in 0..<(together ? max(1, scorers) : 1) {
                let backend = try await namingKeys {
                    try await engines.factory(for: reference).scorer(
                        reference, ScorerOptions(threads: configuration.pipeline.threadCount))
                }
                backends.append(backend)
            }
            let own = StepLoad(load, of: label)
            if !own.sequences.isEmpty {
                let batch = backends[0].preferredBatch, count = configuration.objective.gradedTokens
                let below = Int32(clamping: models.student.vocabularySize)
                let request: GradeRequest =
                    plan.heads[label] != nil ? .hidden : count == 0 ? .sampled : .top(count, below: below)
                let tasks = own.first(tokens: batch.tokens, atMost: batch.tasks).enumerated().map {
                    $1.scoreTask(
                        group: $0, of: label, request, isRetokenized: data.retokenized[label] != nil)
                }
                guard try await backends[0].grade(Array(tasks.prefix(1))).allSatisfy(\.areFinite) else {
                    throw EngineError(
                        "teachers.\(label): \(reference.path) gives log-probabilities that are not finite; is a weight "
                            + "damaged? Otherwise try dtype: f32")
                }
                let seconds = try await timed {
                    try await withThrowingTaskGroup { group in
                        for backend in backends { group.addTask { _ = try await backend.grade(tasks) } }
                        try await group.waitForAll()
                    }
                }
                let rate = seconds / Double(tasks.reduce(0) { $0 + $1.tokens.count })
                let graded = own.sequences.reduce(0) { $0 + $1.prompt.ids(for: label).count + $1.responseIDs.count }
                let tokens = graded * own.samples
                measured.seconds = longer(measured.seconds, rate * Double(tokens) / Double(max(1, scorers)))
            }
            measured.processes.append(process("scorer, \(label)", scorers, reference, &memory))
        }
        return hasAllTeachers ? measured : (measured.processes, nil)
    }

    /// A run would give up every such step.
    private func checkTraining(_ result: StepResult) throws(EngineError) {
        guard result.applied else {
            throw EngineError(
                "student: a step on \(configuration.student.model) gives numbers that are not finite; is a weight damaged? "
                    + "Otherwise try student.dtype: f32")
        }
    }

    // MARK: Parts

    /// Seconds of one of the workers, each of which samples its share in waves of as many as it has slots.
    /// - Returns: nil for a server that has to be brought weights first.
    private func samplingSeconds(
        _ reference: ModelReference, _ sequences: [StepLoad.Sequence], samples: Int, together: Bool
    ) async throws -> Double? {
        var samplers: [any RolloutBackend] = []
        for _ in 0..<(together ? max(1, configuration.pipeline.workers) : 1) {
            let sampler = try await namingKeys {
                try await engines.factory(for: reference).sampler(reference, configuration.samplerOptions)
            }
            samplers.append(sampler)
        }
        guard reference.server?.takesWeights != true else { return nil }
        guard !sequences.isEmpty else { return 0 }
        let share = sequences.count * samples / max(1, configuration.pipeline.workers)
        let count = max(1, min(samplers[0].slots, share))
        func seconds(tokens: Int) async throws -> Double {
            let tasks = (0..<count).map { place in
                let prompt = sequences[place / samples % sequences.count].prompt
                var settings = configuration.sampling.settings(stopTokenIDs: []).clipped(to: min(tokens, prompt.room))
                (settings.stop, settings.minTokens) = ([], 0)
                return RolloutTask(
                    id: RolloutID(group: UInt64(place / samples), sample: UInt32(place % samples)), kind: .train,
                    promptIDs: prompt.sampler == nil ? prompt.ids : prompt.idsForTeacher, sampling: settings, seed: 1,
                    minimumVersion: 0, leaseID: 0)
            }
            return try await timed {
                try await withThrowingTaskGroup { group in
                    for sampler in samplers { group.addTask { _ = try await sampler.sample(tasks) } }
                    try await group.waitForAll()
                }
            }
        }
        let longest = sequences.map(\.responseIDs.count).max() ?? 1
        _ = try await seconds(tokens: 1)
        let first = try await seconds(tokens: 1)
        let few = min(longest, 17)
        let waves = (Double(share) / Double(count)).rounded(.up)
        guard few > 1 else { return first * waves }
        let more = max(0, try await seconds(tokens: few) - first) / Double(few - 1)
        return waves * (first + more * Double(longest - 1))
    }

    private func process(
        _ name: String, _ count: Int, _ reference: ModelReference, _ memory: inout ProcessMemory
    ) -> RehearsalReport.Process {
        let bytes = memory.take()
        return .init(name: name, count: count, bytes: reference.server == nil && reference.torch == nil ? bytes : nil)
    }

    /// The teachers whose files are here or that servers have, by label.
    private var teachersHere: [(label: String, teacher: RunConfiguration.Model)] {
        configuration.usedTeachers.sorted { $0.key < $1.key }
            .filter { models.teachers[$0.key] != nil || $0.value.server.isGiven }
            .map { ($0.key, $0.value) }
    }

    private var hasAllTeachers: Bool { teachersHere.count == configuration.usedTeachers.count }

    private func longer(_ a: Double?, _ b: Double?) -> Double? {
        guard let a, let b else { return nil }
        return max(a, b)
    }

    private func timed(_ work: () async throws -> Void) async throws -> Double {
        let start = ContinuousClock.now
        try await work()
        return (ContinuousClock.now - start) / .seconds(1)
    }
}

extension StepLoad {
    /// The part that one teacher grades.
    init(_ load: StepLoad, of teacher: String) {
        sequences = load.sequences.filter { $0.prompt.graders.contains { $0.label == teacher } }
        samples = load.samples
    }
}

import Configuration
import Distillation
import Engines
import Foundation
import RunFiles
import Wire
import Wording

extension RunConfiguration.DType {
    var weightType: WeightType { self == .f32 ? .f32 : .bf16 }
}

extension RunConfiguration.Model {
    var reference: ModelReference { ModelReference(path: model, type: dtype.weightType) }
}

extension RunConfiguration.Server {
    /// - Parameter key: the section's name.
    fileprivate func reference(key: String) -> ServerReference? {
        guard isGiven, let kind = ServerReference.Kind(rawValue: kind.rawValue) else { return nil }
        var reference = ServerReference(kind: kind, urls: urls, model: model, key: key)
        reference.keyFile = keyFile
        reference.authorityFile = authorityFile
        reference.timeout = .seconds(timeoutSeconds)
        reference.mostRequests = requests
        reference.mostTokens = tokens
        reference.patience = .seconds(startTimeoutSeconds)
        return reference
    }
}

extension RunConfiguration.Torch {
    func reference(log: String) -> TorchReference {
        TorchReference(
            python: python, processes: processes, device: device.rawValue, type: dtype.weightType,
            recomputes: recompute, attention: attention.rawValue, compiles: compile, cacheShare: cache, logPath: log)
    }
}

extension RunConfiguration.Torch.DType {
    /// The precision of its products; nil: the student's.
    fileprivate var weightType: WeightType? {
        switch self {
        case .auto: nil
        case .bf16: .bf16
        case .f32: .f32
        }
    }
}

extension RunConfiguration.Pipeline {
    /// Compute threads of one process.
    var threadCount: Int { threads > 0 ? threads : ProcessInfo.processInfo.activeProcessorCount }
}

extension RunConfiguration.Training {
    var optimizer: AdamWSettings {
        AdamWSettings(
            beta1: Float(beta1), beta2: Float(beta2), epsilon: Float(epsilon), weightDecay: Float(weightDecay),
            clipGradNorm: Float(clipGradNorm))
    }

    var stepGuard: StepGuard {
        StepGuard(
            reaction: onBadStep, limitInARow: badStepsInARow, klLimit: klLimit,
            emptyLimit: emptyLimit)
    }

    var learningRateSchedule: LearningRateSchedule {
        LearningRateSchedule(
            shape: schedule, peak: learningRate, minimum: minLearningRate, warmupSteps: warmupSteps, totalSteps: steps)
    }
}

extension RunConfiguration {
    /// The student, with the adapters that are trained.
    var studentReference: ModelReference {
        var reference = student.reference
        if lora.rank > 0 {
            reference.adapters = AdapterOptions(
                rank: lora.rank, alpha: Float(lora.alpha), targets: lora.targets, seed: UInt64(lora.seed))
        }
        return reference
    }

    /// The student as rollout workers have it: here, in a process of torch, or at a server.
    /// - Parameter log: where an engine in processes of its own writes.
    func rolloutReference(log: String) -> ModelReference {
        var reference = studentReference
        switch rollout.engine {
        case .native: break
        case .torch: reference.torch = torch.reference(log: log)
        case .server:
            reference.server = rollout.server.reference(key: "rollout.server")
            reference.server?.takesWeights = true
        }
        return reference
    }

    /// A teacher as who grades or samples with it has it.
    /// - Parameter log: where an engine in processes of its own writes.
    func reference(of teacher: Model, label: String, log: String) -> ModelReference {
        // It is sent what workers are sent.
        if refreshes[label] != nil { return studentReference }
        guard var server = teacher.server.reference(key: "teachers.\(label).server") else {
            var reference = teacher.reference
            if teacher.engine == .torch { reference.torch = torch.reference(log: log) }
            return reference
        }
        server.files = teacher.model.isEmpty ? nil : teacher.model
        server.topTokens = objective.gradedTokens
        var reference = ModelReference(path: teacher.tokenizer ?? "", type: teacher.dtype.weightType)
        reference.server = server
        return reference
    }

    /// The student as it is trained, which another engine may do than samples.
    /// - Parameter log: where an engine in processes of its own writes.
    func trainerReference(log: String) -> ModelReference {
        var reference = studentReference
        if student.engine == .torch { reference.torch = torch.reference(log: log) }
        return reference
    }

    var trainerOptions: TrainerOptions {
        TrainerOptions(
            threads: pipeline.threadCount, tokenBudget: training.tokenBudget, optimizer: training.optimizer,
            heads: objective.sharesHeads ? usedTeachers.mapValues(\.reference) : [:], averages: averages)
    }

    var samplerOptions: SamplerOptions {
        SamplerOptions(
            slots: pipeline.slots, threads: pipeline.threadCount, renewsCaches: pipeline.swapCache == .recompute)
    }
}

extension RunConfiguration.Checkpoint {
    var schedule: CheckpointSchedule {
        CheckpointSchedule(every: UInt64(every), keepLast: keepLast, keepEvery: UInt64(keepEvery))
    }
}

extension RunConfiguration.Evaluation {
    var target: RunTarget { RunTarget(passRate: stopAtPassRate, teacherKL: stopAtKL) }
}

/// Gives what an engine refuses the key under which the user can mend it.
/// - Parameter model: the key of the model that is asked for.
/// - Throws: `UsageError` in place of an ``EngineRefusal``, and every other error as it is.
func namingKeys<Result>(
    of model: String = "student.model", isolation: isolated (any Actor)? = #isolation,
    _ work: () async throws -> Result
) async throws -> Result {
    do {
        return try await work()
    } catch let refusal as EngineRefusal {
        switch refusal.subject {
        case .model: throw UsageError("\(model): \(refusal)")
        case .adapters: throw UsageError("lora.rank: \(refusal)")
        // They name the section themselves.
        case .shape, .engine: throw UsageError("\(refusal)")
        }
    }
}

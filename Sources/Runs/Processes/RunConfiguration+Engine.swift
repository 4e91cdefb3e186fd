import Compute
import Configuration
import Distillation
import Foundation
import Models
import RunFiles
import Training
import Wording

extension RunConfiguration.DType {
    var elementType: ElementType { self == .f32 ? .f32 : .bf16 }
}

extension RunConfiguration.Model {
    var elementType: ElementType { dtype.elementType }
}

extension RunConfiguration.Pipeline {
    /// Compute threads of one process.
    var threadCount: Int { threads > 0 ? threads : ProcessInfo.processInfo.activeProcessorCount }
}

extension RunConfiguration.Training {
    var optimizerOptions: OptimizerOptions {
        OptimizerOptions(
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
    /// The adapters that are trained, and the seed of their beginning; nil: all weights are trained.
    /// - Throws: `UsageError` when this student cannot have them.
    func adapters(of student: ModelFiles) throws -> (layout: AdapterLayout, seed: UInt64)? {
        guard lora.rank > 0 else { return nil }
        let targets =
            lora.targets.isEmpty ? AdapterShape.Target.allCases : lora.targets.compactMap { .init(rawValue: $0) }
        let shape = AdapterShape(rank: lora.rank, alpha: Float(lora.alpha), targets: Set(targets))
        do {
            return (try AdapterLayout(student.configuration, shape), UInt64(lora.seed))
        } catch {
            throw UsageError("lora.rank: \(error)")
        }
    }

    /// What passes cost the models of this run.
    func costModel(student: ModelFiles) throws -> CostModel {
        func forward(_ configuration: ModelConfiguration) -> CostModel.Forward {
            { configuration.forwardOperations(prompt: $0, response: $1) }
        }
        let model = student.configuration
        let training = try adapters(of: student).map { layout, _ in
            { @Sendable prompt, response in
                model.adapterTrainingOperations(prompt: prompt, response: response, adapters: layout)
            } as CostModel.Forward
        }
        return CostModel(
            student: forward(model), training: training,
            teachers: try usedTeachers.mapValues { forward(try ModelFiles.open($0.model).configuration) })
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

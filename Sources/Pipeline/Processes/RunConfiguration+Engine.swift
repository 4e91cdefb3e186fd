import Compute
import Configuration
import Distillation
import Foundation
import Models
import Training

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
            reaction: onBadStep == .skip ? .skip : .stop, limitInARow: badStepsInARow, klLimit: klLimit,
            emptyLimit: emptyLimit)
    }

    var learningRateSchedule: Training.Schedule {
        let shape: Training.Schedule.Shape =
            switch schedule {
            case .constant: .constant
            case .linear: .linear
            case .cosine: .cosine
            }
        return Training.Schedule(
            shape: shape, peak: learningRate, minimum: minLearningRate, warmupSteps: warmupSteps, totalSteps: steps)
    }
}

extension RunConfiguration.Objective {
    var objective: Distillation.Objective {
        let kind: LossKind =
            switch loss {
            case .importanceSampling: .importanceSampling
            case .ppoClip: .ppoClip
            case .truncatedImportanceSampling: .truncatedImportanceSampling
            }
        let subtracted: BaselineKind =
            switch baseline {
            case .none: .none
            case .batchMean: .batchMean
            case .leastVariance: .leastVariance
            }
        return Distillation.Objective(
            loss: kind, advantage: advantage == .behaviour ? .behaviour : .current,
            baseline: subtracted, klCoefficient: klCoefficient, klDiscount: klDiscount,
            clipLow: clipLow, clipHigh: clipHigh, truncation: truncation,
            rewardCoefficient: self.kind.usesReward ? rewardCoefficient : 0,
            rewardScale: rewardScale == .none ? .none : .deviation)
    }
}

extension RunConfiguration {
    /// What passes cost the models of this run.
    func costModel(student: ModelFiles) throws -> CostModel {
        func forward(_ configuration: ModelConfiguration) -> CostModel.Forward {
            { configuration.forwardOperations(prompt: $0, response: $1) }
        }
        return CostModel(
            student: forward(student.configuration),
            teachers: try grading.mapValues { forward(try ModelFiles.open($0.model).configuration) })
    }
}

extension RunConfiguration.Evaluation {
    var target: RunTarget { RunTarget(passRate: stopAtPassRate, teacherKL: stopAtKL) }
}

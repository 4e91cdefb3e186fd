import Configuration
import Distillation
import Wire
import Wording

/// Teachers whose last hidden states are sent, and whose heads the learner holds.
extension RunSetup {
    /// Checks that the trainer can make logits of the last hidden states of every teacher.
    /// - Throws: `UsageError` when a teacher's head is not here, or has other rows than the student's.
    static func checkHeads(_ configuration: RunConfiguration, _ models: DescribedModels) throws {
        let use = configuration.objective.headUse ?? "", instead = configuration.objective.headAlternative
        for (label, model) in configuration.usedTeachers.sorted(by: { $0.key < $1.key }) {
            guard let teacher = models.teachers[label] else {
                throw UsageError(
                    "teachers.\(label): \(model.model) is not on this machine, but with \(use) the learner reads the "
                        + "teacher's head; put it there, or \(instead)")
            }
            guard teacher.vocabularySize == models.student.vocabularySize else {
                throw UsageError(
                    "teachers.\(label): it has \(teacher.vocabularySize) ids and the student "
                        + "\(models.student.vocabularySize); with \(use) both need the same; \(instead)")
            }
        }
    }

    /// Checks that the hidden states of the longest response are a message.
    static func checkHeadSizes(_ heads: [String: SharedHead], _ configuration: RunConfiguration) throws {
        let limit = WireLimits.standard.frameBytes
        for (label, head) in heads.sorted(by: { $0.key < $1.key }) {
            let bytes = head.hiddenSize * (head.format == .f32 ? 4 : 2)
            guard head.hiddenSize <= HiddenStates.largestSize, configuration.sampling.maxTokens <= limit / bytes else {
                throw UsageError(
                    "sampling.max_tokens: \(configuration.sampling.maxTokens) hidden states of teacher '\(label)' with "
                        + "\(bytes) bytes each are more than a message has room for (\(limit) bytes); with "
                        + "\(configuration.objective.headUse ?? "") give up to \(limit / bytes), or "
                        + configuration.objective.headAlternative)
            }
        }
    }
}

import Engines
import Wire

extension TeacherDescription {
    /// What a member tells its learner of the teacher that it holds.
    init(_ model: ModelDescription) {
        self.init(
            contextLength: min(model.contextLength, Self.mostTokens),
            vocabularySize: min(model.vocabularySize, Self.mostTokens),
            templateIdentity: model.templateIdentity, forwardCost: model.forwardCost)
    }
}

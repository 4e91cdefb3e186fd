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

extension ModelDescription {
    /// What a hello tells of the tokenizer's added tokens; nothing where they are more than one has room for.
    var addedTokenTexts: [String] {
        guard let texts = text?.tokenizer.addedTokenTexts else { return [] }
        let limits = WireLimits.standard
        let fits =
            texts.count <= limits.items && texts.allSatisfy { $0.utf8.count <= limits.stringBytes }
            && texts.reduce(0) { $0 + $1.utf8.count } <= Hello.longestAddedTokens
        return fits ? texts : []
    }
}

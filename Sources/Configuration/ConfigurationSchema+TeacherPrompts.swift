extension ConfigurationSchema {
    /// Keys about what only a teacher is shown, and about when it takes the student's weights.
    static let teacherPromptKeys: [ConfigurationKey] = [
        .teacher(
            "system", .text, required: false,
            "what only this teacher is told, in the system message of every prompt of its"
        ) {
            ConfigurationValue(text: $0.system)
        } write: {
            $0.system = $1.optionalText
        },
        .teacher(
            "context_field", .text, required: false,
            "field of the prompt files that only this teacher is shown, in the system message: a solution, a document"
        ) {
            ConfigurationValue(text: $0.contextField)
        } write: {
            $0.contextField = $1.optionalText
        },
        .teacher(
            "refresh_every", .integer(0...1_000_000_000), required: false,
            "steps after which this teacher, the student's own earlier self, takes the student's weights; 0: never"
        ) {
            .integer($0.refreshEvery)
        } write: {
            if case .integer(let value) = $1 { $0.refreshEvery = value }
        },
        .teacher(
            "ema_decay", .number(0...0.9999999, above: false), required: false,
            "what this teacher, a moving average of the student's weights, keeps of itself in a step; 0: it is none"
        ) {
            .number($0.emaDecay)
        } write: {
            if case .number(let value) = $1 { $0.emaDecay = value }
        },
    ]
}

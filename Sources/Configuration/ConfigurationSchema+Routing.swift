extension ConfigurationSchema {
    /// Keys about which prompts a teacher takes, and what it counts beside others.
    static let teacherRoutingKeys: [ConfigurationKey] = [
        .teacher("tags", .texts, required: false, "tags of the prompts that it takes where they name no teacher") {
            .list($0.tags)
        } write: {
            if case .list(let value) = $1 { $0.tags = value }
        },
        .teacher(
            "weight", .number(0...1e6, above: true), required: false,
            "what it counts where several teachers grade a prompt together, beside the weights of the others"
        ) {
            .number($0.weight)
        } write: {
            if case .number(let value) = $1 { $0.weight = value }
        },
    ]
}

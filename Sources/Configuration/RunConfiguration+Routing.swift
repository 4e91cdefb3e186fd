extension RunConfiguration {
    /// The tags by which prompts find teachers, by the labels of the teachers that take some so.
    package var routes: [String: [String]] { usedTeachers.compactMapValues { $0.tags.isEmpty ? nil : $0.tags } }

    /// The teachers of a prompt that names none: those that take one of its tags, or else the one that takes all
    /// others.
    /// - Returns: labels in order; none where nobody takes it.
    package static func teachers(
        forTags tags: [String], routes: [String: [String]], default defaultTeacher: String?
    ) -> [String] {
        let own = routes.filter { route in route.value.contains(where: tags.contains) }.keys.sorted()
        return own.isEmpty ? [defaultTeacher].compactMap(\.self) : own
    }

    /// The shares of teachers that grade together, which add up to 1, in their order.
    package func shares(of labels: [String]) -> [Double] {
        let weights = labels.map { teachers[$0]?.weight ?? 1 }, sum = weights.reduce(0, +)
        return weights.map { $0 / sum }
    }
}

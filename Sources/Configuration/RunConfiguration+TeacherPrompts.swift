extension RunConfiguration {
    /// The fields of prompts that only their teachers are shown, by label.
    package var contextFields: [String: String] { usedTeachers.compactMapValues(\.contextField) }

    /// What teachers are to be shown that no prompt has.
    var teacherPromptContradictions: [(key: String, message: String)] {
        guard data.task != nil else { return [] }
        return contextFields.sorted { $0.key < $1.key }.filter { !Self.taskFields.contains($0.value) }.map {
            let known = Self.taskFields.joined(separator: " and ")
            return ("teachers.\($0.key).context_field", "problems of a data.task have \(known), and no '\($0.value)'")
        }
    }

    /// What a generated problem has that a teacher may be shown.
    package static let taskFields = ["answer", "response"]
}

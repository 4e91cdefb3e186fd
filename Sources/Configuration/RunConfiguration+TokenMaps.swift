extension RunConfiguration {
    /// What cannot be where a teacher's tokenizer is another than the student's.
    var tokenMapContradictions: [(key: String, message: String)] {
        usedTeachers.filter { $0.value.tokenMap == .bytes }.keys.sorted().flatMap { label in
            let key = "teachers.\(label).token_map"
            var found: [(key: String, message: String)] = []
            func conflict(_ isGiven: Bool, _ message: String) {
                if isGiven { found.append((key, message)) }
            }
            conflict(
                kind.sampler == .teachers,
                "with objective.kind \(objective.kind.rawValue) the student imitates the teacher's own tokens, which must "
                    + "be its own, too; choose models with one tokenizer")
            conflict(
                data.environment.isGiven,
                "bytes grades responses of one turn, and with data.environment there are several; choose models with one "
                    + "tokenizer")
            return found
        }
    }
}

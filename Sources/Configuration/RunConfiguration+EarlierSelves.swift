extension RunConfiguration {
    /// Steps after which teachers take the student's weights, by the labels of those that do.
    package var refreshes: [String: Int] {
        usedTeachers.compactMapValues { $0.refreshEvery > 0 ? $0.refreshEvery : nil }
    }

    /// What keeps a teacher from being the student's own earlier self.
    var earlierSelfContradictions: [(key: String, message: String)] {
        refreshes.keys.sorted().flatMap { label -> [(key: String, message: String)] in
            guard let teacher = teachers[label] else { return [] }
            let key = "teachers.\(label)", taking = "with \(key).refresh_every it takes the student's weights"
            var found: [(key: String, message: String)] = []
            func conflict(_ name: String, _ isGiven: Bool, _ message: String) {
                if isGiven { found.append(("\(key).\(name)", message)) }
            }
            conflict("model", teacher.model != student.model, "\(taking); give it student.model, \(student.model)")
            conflict("dtype", teacher.dtype != student.dtype, "\(taking); give it student.dtype, \(student.dtype)")
            conflict("token_map", teacher.tokenMap != .strict, "\(taking), and so has its tokenizer; leave it out")
            conflict("server", teacher.server.isGiven, "\(taking), which no server is brought; leave it out")
            conflict("engine", teacher.engine != .native, "\(taking), which torch does not take here; leave it out")
            conflict(
                "refresh_every", kind.sampler == .teachers,
                "with objective.kind \(objective.kind.rawValue) teachers sample with weights that never change; "
                    + "leave it out")
            conflict(
                "refresh_every", objective.sharesHeads,
                "with \(objective.headUse ?? "") the learner reads a teacher's head once; \(objective.headAlternative)")
            return found
        }
    }
}

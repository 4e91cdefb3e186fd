extension RunConfiguration {
    /// Steps after which teachers take the student's weights, or the average of them that they are, by the labels of those
    /// that do.
    package var refreshes: [String: Int] {
        usedTeachers.compactMapValues { teacher in
            // What follows the student in every step is taken in every step where nothing else is said.
            if teacher.refreshEvery == 0, teacher.emaDecay > 0 { return 1 }
            return teacher.refreshEvery > 0 ? teacher.refreshEvery : nil
        }
    }

    /// What teachers that are an average of the student's weights keep of themselves in a step, by label.
    package var averages: [String: Double] {
        usedTeachers.compactMapValues { $0.emaDecay > 0 ? $0.emaDecay : nil }
    }

    /// What keeps a teacher from being the student's own earlier self, or an average of it.
    var earlierSelfContradictions: [(key: String, message: String)] {
        refreshes.keys.sorted().flatMap { label -> [(key: String, message: String)] in
            guard let teacher = teachers[label] else { return [] }
            let isAverage = teacher.emaDecay > 0, reason = isAverage ? "ema_decay" : "refresh_every"
            let key = "teachers.\(label)", taking = "with \(key).\(reason) it takes the student's weights"
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
                reason, isAverage && student.engine != .native,
                "student.engine \(student.engine.rawValue) keeps no average of the weights; let student.engine native, or "
                    + "take \(key).refresh_every alone")
            conflict(
                reason, kind.sampler == .teachers,
                "with objective.kind \(objective.kind.rawValue) teachers sample with weights that never change; "
                    + "leave it out")
            conflict(
                reason, objective.sharesHeads,
                "with \(objective.headUse ?? "") the learner reads a teacher's head once; \(objective.headAlternative)")
            return found
        }
    }
}

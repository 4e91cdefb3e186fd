import RunFiles

extension RunDigest {
    /// The run in a few lines, for `opd inspect` and at the head of a page.
    package var facts: [(label: String, text: String)] { Self.facts(of: run, configuration, metrics) }

    /// See ``facts``; reads what they need and no more.
    package static func facts(of run: RunFolder) -> [(label: String, text: String)] {
        let metrics = MetricsDigest(of: run, points: 2)
        // What is amiss is said here only when something is: most folders have nothing of it.
        let amiss = metrics.unreadable > 0 ? metrics.notes.map { (label: "amiss", text: $0) } : []
        return facts(of: run, RunConfigurationDigest(of: run), metrics) + amiss
    }

    private static func facts(
        of run: RunFolder, _ configuration: RunConfigurationDigest, _ metrics: MetricsDigest
    ) -> [(label: String, text: String)] {
        var facts = [(label: "run", text: run.path)]
        if let configuration = configuration.configuration {
            let student = configuration.student.model
            facts.append(("student", student.isEmpty ? "made from scratch" : student))
            for (label, teacher) in configuration.usedTeachers.sorted(by: { $0.key < $1.key }) {
                facts.append(("teacher", "\(teacher.model) (\(label))"))
            }
            facts.append(("steps", "\(metrics.last("step")?.text ?? "0") of \(configuration.training.steps)"))
        }
        if let kl = metrics.last("teacher_kl") { facts.append(("training KL", kl.text)) }
        if let divergence = metrics.last("divergence") {
            let kind = configuration.configuration.map { " (\($0.objective.divergence.rawValue))" } ?? ""
            facts.append(("divergence", divergence.text + kind))
        }
        if let tail = metrics.last("tail_mass") {
            let teacher = metrics.last("teacher_tail_mass").map { ", teacher \($0.text)" } ?? ""
            facts.append(("not listed", "student \(tail.text)\(teacher)"))
        }
        for (label, name) in [
            ("held-out KL", "eval_teacher_kl"), ("held-out loss", "eval_cross_entropy"),
            ("held-out right", "eval_pass_at_1"),
        ] {
            guard let (first, last) = metrics.range(of: name) else { continue }
            let both = "\(first.text) at step \(first.stepText), \(last.text) at step \(last.stepText)"
            facts.append((label, first.step == last.step ? first.text : both))
        }
        let checkpoints = CheckpointStore(folder: run.checkpoints)
        facts.append(("checkpoints", checkpoints.list().map { String($0.step) }.joined(separator: ", ")))
        if let latest = checkpoints.latest() { facts.append(("model", "\(latest.path)/model")) }
        return facts
    }
}

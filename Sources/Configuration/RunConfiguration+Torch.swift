extension RunConfiguration {
    /// What torch is asked that it cannot do.
    var torchContradictions: [(key: String, message: String)] {
        var found: [(key: String, message: String)] = []
        if rollout.engine == .torch, kind.sampler != .student {
            found.append(
                (
                    "rollout.engine",
                    "with objective.kind \(objective.kind.rawValue) the student does not sample; give the teacher "
                        + "engine: torch"
                ))
        }
        for (label, teacher) in teachers.sorted(by: { $0.key < $1.key })
        where teacher.server.isGiven && teacher.engine != .native {
            found.append(
                ("teachers.\(label).engine", "servers have this teacher, and compute it themselves; leave it out"))
        }
        return found
    }
}

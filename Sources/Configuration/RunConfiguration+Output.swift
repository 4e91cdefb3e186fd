extension RunConfiguration {
    /// The whole configuration as YAML that ``load(_:overrides:requiring:)`` reads back to an equal value.
    ///
    /// - Parameter markingDefaults: adds `# default` to values that the file could leave out.
    package func yaml(markingDefaults: Bool = false) -> String {
        var lines: [String] = []
        var section: [String] = []
        for (key, label) in Self.printed(teachers.keys.sorted()) where isPrinted(key, label) {
            let path = key.path.split(separator: ".").map { $0 == "*" ? label : String($0) }
            let value = key.read(self, label).description
            if value == "''" { continue }
            let parents = Array(path.dropLast())
            for depth in parents.indices where Array(section.prefix(depth + 1)) != Array(parents.prefix(depth + 1)) {
                lines.append(String(repeating: "  ", count: depth) + "\(yamlText(parents[depth])):")
                section = Array(parents.prefix(depth + 1))
            }
            section = parents
            let indent = String(repeating: "  ", count: parents.count)
            let mark = markingDefaults && value == key.defaultText ? "  # default" : ""
            lines.append("\(indent)\(path[path.count - 1]): \(value)\(mark)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Full names of keys with their values as the configuration is written: `training.steps`, `700`.
    package var values: [(key: String, value: String)] {
        Self.printed(teachers.keys.sorted()).compactMap { key, label in
            guard isPrinted(key, label) else { return nil }
            let path = key.path.split(separator: ".").map { $0 == "*" ? yamlText(label) : String($0) }
            let value = key.read(self, label).description
            return value == "''" ? nil : (path.joined(separator: "."), value)
        }
    }

    /// All keys with their labels: those of a teacher one after the other, each teacher with all of them.
    private static func printed(_ labels: [String]) -> [(key: ConfigurationKey, label: String)] {
        let ofTeachers = ConfigurationSchema.keys.filter { $0.path.contains("*") }
        return ConfigurationSchema.keys.flatMap { key -> [(key: ConfigurationKey, label: String)] in
            guard key.path.contains("*") else { return [(key, "")] }
            guard key.path == ofTeachers.first?.path else { return [] }
            return labels.flatMap { label in ofTeachers.map { ($0, label) } }
        }
    }

    /// Keys of a server are left out where there is none.
    private func isPrinted(_ key: ConfigurationKey, _ label: String) -> Bool {
        if key.path.hasPrefix("rollout.server.") { return rollout.server.isGiven }
        let isServed = teachers[label]?.server.isGiven == true
        if key.path.hasPrefix("teachers.*.server.") { return isServed }
        if key.path == "teachers.*.engine" { return !isServed }
        return key.path != "teachers.*.model" || !isServed || teachers[label]?.model.isEmpty == false
    }

    /// Settings that are allowed and probably not meant, one line each.
    package var warnings: [String] {
        var warnings: [String] = []
        if sampling.topP < 1 || sampling.topK > 0, kind.sampler != .teachers {
            warnings.append(
                "sampling.\(sampling.topP < 1 ? "top_p" : "top_k"): tokens are drawn from a cut distribution, but log-probabilities are of the whole one: teacher_kl is then biased; use top_p: 1 and top_k: 0 to distil"
            )
        }
        if sampling.temperature != 1, kind.grader == .teachers {
            warnings.append(
                "sampling.temperature: the student is compared with the teacher at temperature 1, so at \(short(sampling.temperature)) it is trained towards the teacher under another distribution than its own"
            )
        }
        if pipeline.maxStaleness > 0, kind.sampler == .student {
            if objective.loss == .importanceSampling {
                warnings.append(
                    "objective.loss: importance_sampling does not limit the ratio and can diverge when samples are stale; use ppo_clip or truncated_importance_sampling with max_staleness \(pipeline.maxStaleness)"
                )
            }
            if objective.advantage == .behaviour, kind.grader == .teachers {
                warnings.append(
                    "objective.advantage: behaviour compares the teacher with old weights when samples are stale; use current with max_staleness \(pipeline.maxStaleness)"
                )
            }
        }
        if evaluation.every > 0 && data.heldout == nil && data.task == nil {
            warnings.append("data.heldout: not given, so evaluation.every has no effect")
        }
        if evaluation.stopAtKL > 0, kind.grader != .teachers {
            warnings.append(
                "evaluation.stop_at_kl: has no effect, for a run with objective.kind \(objective.kind.rawValue) does not measure the divergence"
            )
        }
        if training.warmupSteps >= training.steps {
            warnings.append("training.warmup_steps: the run of \(training.steps) steps ends before the warm-up does")
        }
        warnings += serverWarnings
        return warnings
    }
}

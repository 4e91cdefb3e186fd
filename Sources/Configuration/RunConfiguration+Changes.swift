extension RunConfiguration {
    /// How a run goes on from a checkpoint.
    package enum Continuation: Sendable, CaseIterable {
        /// The run goes on as the same run: its values must be those of a run that was never interrupted.
        case resume
        /// Another run begins with the weights, the optimizer and the place in the prompts of the checkpoint.
        case fork

        /// Whether a key may have another value than when the checkpoint was made.
        package func allowsChange(of path: String) -> Bool {
            switch self {
            case .resume:
                Self.resumable.contains(path) || path.hasPrefix("checkpoint.")
                    || path.hasPrefix("telemetry.") || path.hasPrefix("security.")
                    || path.hasPrefix("torch.") || path.hasPrefix("rollout.") || Self.changesPlace(path)
                    || (path.hasPrefix("pipeline.") && path != "pipeline.max_staleness")
            case .fork: !Self.fixed.contains(path)
            }
        }

        /// Whether a key says where a server is and how it is used, not what it has.
        private static func changesPlace(_ path: String) -> Bool {
            path.hasPrefix("teachers.*.server.") && !path.hasSuffix(".kind") && !path.hasSuffix(".model")
        }

        /// What may change when a run resumes, beside processes and checkpoints: where things are (their contents are
        /// checked by themselves), how long it runs, who
        /// computes, and what becomes of bad steps.
        private static let resumable: Set = [
            "name", "run_folder", "student.model", "student.engine", "teachers.*.engine", "data.prompts",
            "data.environment.command", "data.environment.slots", "data.environment.start_s",
            "data.environment.answer_s", "data.environment.memory_mb",
            "training.steps",
            "training.on_bad_step", "training.bad_steps_in_a_row", "training.kl_limit", "training.empty_limit",
            "evaluation.every",
            "evaluation.stop_at_pass_rate", "evaluation.stop_at_kl", "evaluation.teachers",
        ]

        /// What makes the place in the prompts, and the weights, mean what they mean.
        private static let fixed: Set = [
            "seed", "student.dtype", "lora.rank", "lora.alpha", "lora.targets", "data.template",
            "data.template_arguments", "data.system_prompt", "data.date",
            "data.prompts_per_step", "data.samples_per_prompt", "data.shuffle",
        ]
    }

    /// What a checkpoint's configuration forbids: `training.learning_rate is 0.1 now and was 0.01`, one a key.
    ///
    /// A path counts as the same when its last part is: folders move between machines.
    package func refusedChanges(since old: RunConfiguration, to continue: Continuation) -> [String] {
        var changes: [String] = []
        for key in ConfigurationSchema.keys where !`continue`.allowsChange(of: key.path) {
            let labels = key.path.contains("*") ? Set(teachers.keys).union(old.teachers.keys).sorted() : [""]
            for label in labels {
                let path = key.path.replacing("*", with: label)
                let isLabel = !label.isEmpty
                func value(_ configuration: RunConfiguration) -> String {
                    if isLabel, configuration.teachers[label] == nil { return "not given" }
                    return key.read(configuration, label).description
                }
                func compared(_ text: String) -> Substring {
                    guard case .path = key.kind else { return text[...] }
                    // One with a space has quotes, which its last part alone may not need.
                    return text.filter { $0 != "'" }.split(separator: "/").last ?? ""
                }
                let before = value(old), now = value(self)
                if compared(before) != compared(now) { changes.append("\(path) is \(now) now and was \(before)") }
            }
        }
        return changes
    }
}

extension RunConfiguration {
    /// The processes of the torch engine.
    package struct Torch: Sendable, Equatable {
        /// The program with torch and transformers.
        package var python = "python3"
        package var processes = 1
        package var device = Device.auto
        package var dtype = DType.auto
        /// Whether activations are computed again in the backward pass instead of kept.
        package var recompute = true
        package var attention = Attention.auto
        package var compile = false
        /// What a sampler may have of the memory that its GPU has left.
        package var cache = 0.5
        package init() {}

        package enum Device: String, Sendable, CaseIterable { case auto, cpu, cuda }
        package enum DType: String, Sendable, CaseIterable { case auto, bf16, f32 }
        /// Implementations of attention, as transformers names them.
        package enum Attention: String, Sendable, CaseIterable {
            case auto, eager, sdpa
            case flashAttention2 = "flash_attention_2"
            case flashAttention3 = "flash_attention_3"
            case flexAttention = "flex_attention"
        }
    }

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
        let names = LoRA.targetNames
        if student.engine != .torch, let other = lora.targets.first(where: { !names.contains($0) }) {
            let near = nearestName(to: other, among: names).map { "; did you mean '\($0)'?" } ?? ""
            found.append(
                (
                    "lora.targets",
                    "engine \(student.engine.rawValue) has adapters of \(names.joined(separator: ", ")) alone, not of "
                        + "'\(other)'\(near)"
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

extension LayerSchema {
    /// The pre-norm layer, with experts in place of the feed-forward network in the layers that have them (Qwen 3 MoE).
    package static let preNormExperts = LayerSchema(
        groups: preNorm.groups.map { $0.role == .matrices(.gateUp) || $0.role == .matrices(.down) ? $0.dense : $0 }
            + [
                .matrices(
                    .router, bias: { _ in false }, [Module("mlp.gate", gguf: "ffn_gate_inp", [.experts, .hidden])],
                    when: { $0.hasExperts(layer: $1) }),
                // No adapter can be asked for: those of all experts would be as many as there are experts.
                Group(
                    role: .experts,
                    modules: [
                        Module("mlp.experts.*.gate_proj", gguf: "ffn_gate_exps", [.expertIntermediate, .hidden]),
                        Module("mlp.experts.*.up_proj", gguf: "ffn_up_exps", [.expertIntermediate, .hidden]),
                        Module(
                            "mlp.experts.*.down_proj", gguf: "ffn_down_exps", [.hidden, .expertIntermediate],
                            initialization: .residual),
                    ], isPresent: { $0.hasExperts(layer: $1) }, hasBias: nil),
            ])
}

extension LayerSchema.Group {
    /// The same in layers without experts alone, and without adapters: who asks for those of `gate_proj` is told that
    /// there are none, and does not get those of a few layers.
    fileprivate var dense: Self {
        Self(
            role: role, modules: modules.map(\.withoutAdapter), isPresent: { !$0.hasExperts(layer: $1) },
            hasBias: hasBias)
    }
}

extension String {
    /// The name of one expert's parameter, from a name that stands for those of all.
    func ofExpert(_ index: Int) -> String {
        guard let star = firstIndex(of: "*") else { return self }
        return self[..<star] + "\(index)" + self[self.index(after: star)...]
    }
}

extension LayerNames {
    /// The names of one expert's matrices: gate and up, as they are stacked, and down.
    package func expert(_ index: Int) -> (gateUp: [String], down: [String]) {
        let names = schema.groups.first { $0.role == .experts }?.modules.map {
            prefix + $0.name.ofExpert(index) + ".weight"
        }
        return (Array((names ?? []).prefix(2)), Array((names ?? []).dropFirst(2)))
    }
}

extension ModelConfiguration {
    /// Checks rotary embeddings; `file` is named in the error.
    func validateRotation(in file: String) throws {
        func check(_ condition: Bool, _ message: @autoclosure () -> String) throws {
            guard condition else { throw ModelError(.malformed, "\(file): \(message())") }
        }
        try check(
            partialRotaryFactor > 0 && partialRotaryFactor <= 1 && rotaryDimension >= 2 && rotaryDimension % 2 == 0,
            "partial_rotary_factor \(partialRotaryFactor) does not turn an even number of a head's columns")
        for rope in [rope] + (slidingRope.map { [$0] } ?? []) {
            try check(rope.theta.isFinite && rope.theta > 0, "rope_theta \(rope.theta) is not positive")
            switch rope.scaling {
            case .none: break
            case .linear(let factor): try check(factor.isFinite && factor > 0, "rope factor \(factor) is not positive")
            case .llama3(let factor, let low, let high, let original):
                try check(
                    factor.isFinite && factor > 0 && low.isFinite && low > 0 && high.isFinite && high > low
                        && (1...1 << 30).contains(original),
                    "llama3 rope scaling needs factor > 0, 0 < low_freq_factor < high_freq_factor and "
                        + "original_max_position_embeddings > 0")
            case .yarn(let yarn):
                try check(
                    [yarn.factor, yarn.betaFast, yarn.betaSlow, yarn.attentionFactor]
                        .allSatisfy { $0.isFinite && $0 > 0 } && (1...1 << 30).contains(yarn.originalMaxPositions)
                        && rope.theta != 1,
                    "yarn rope scaling needs factor, beta_fast, beta_slow, attention_factor and "
                        + "original_max_position_embeddings > 0")
            case .longRope(let long):
                let count = rotaryDimension / 2
                for (name, factors) in [("short_factor", long.shortFactors), ("long_factor", long.longFactors)] {
                    try check(
                        factors.count == count && factors.allSatisfy { $0.isFinite && $0 > 0 },
                        "\(name) is not \(count) positive numbers, one for each pair of columns")
                }
                let magnitude = long.magnitude(maxPositions: maxPositions)
                try check(
                    (1...1 << 30).contains(long.originalMaxPositions) && magnitude.isFinite && magnitude > 0
                        && long.factor.map { $0.isFinite && $0 > 0 } ?? true,
                    "longrope needs factor, attention_factor and original_max_position_embeddings > 0")
            }
        }
    }

    /// Checks what is particular of layers, multipliers and caps; `file` is named in the error.
    func validateLayers(in file: String) throws {
        func check(_ condition: Bool, _ message: @autoclosure () -> String) throws {
            guard condition else { throw ModelError(.malformed, "\(file): \(message())") }
        }
        if let experts {
            // Twice the most of any model there is: each has names of its own, of which a file could ask for millions.
            let most = min(1 << 12, (1 << 16) / max(1, layerCount))
            try check(
                (1...most).contains(experts.count),
                "num_experts is \(experts.count); it must be between 1 and \(most) in \(layerCount) layers")
            try check(
                (1...experts.count).contains(experts.perToken),
                "num_experts_per_tok is \(experts.perToken); it must be between 1 and \(experts.count)")
            try check(
                (1...1 << 22).contains(experts.intermediateSize),
                "moe_intermediate_size is \(experts.intermediateSize); it must be between 1 and \(1 << 22)")
        }
        try check(
            layerKinds.isEmpty || layerKinds.count == layerCount, "\(layerKinds.count) kinds for \(layerCount) layers")
        if let slidingWindow {
            try check((1...1 << 30).contains(slidingWindow), "sliding_window is \(slidingWindow); it must be positive")
        }
        try check(
            slidingWindow != nil || !layerKinds.contains(where: \.isSliding),
            "layers slide (layer_types), but sliding_window is null")
        for (name, value) in [
            ("the multiplier of embeddings", multipliers.embedding), ("residual_multiplier", multipliers.residual),
            ("the multiplier of attention", multipliers.attention ?? 1), ("logits_scaling", multipliers.logitDivisor),
            ("attn_logit_softcapping", attentionSoftCap ?? 1), ("final_logit_softcapping", logitSoftCap ?? 1),
        ] { try check(value.isFinite && value > 0, "\(name) is \(value); it must be positive") }
    }
}

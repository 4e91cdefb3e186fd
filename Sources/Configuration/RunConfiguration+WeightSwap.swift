/// What is refused of new weights that come while sequences run.
extension RunConfiguration {
    var weightSwapContradictions: [(key: String, message: String)] {
        guard pipeline.swapCache == .recompute else { return [] }
        if pipeline.weightSwap == .betweenSequences {
            return [
                (
                    "pipeline.swap_cache",
                    "with pipeline.weight_swap between_sequences no sequence is under way when weights change; leave out "
                        + "one of the two"
                )
            ]
        }
        if kind.sampler != .student {
            return [
                (
                    "pipeline.swap_cache",
                    "with objective.kind \(objective.kind.rawValue) the student does not sample, and no weights change; "
                        + "leave it out"
                )
            ]
        }
        guard rollout.engine != .native else { return [] }
        return [
            (
                "pipeline.swap_cache",
                "rollout.engine \(rollout.engine.rawValue) keeps what it has computed; use keep, or pipeline.weight_swap "
                    + "between_sequences"
            )
        ]
    }
}

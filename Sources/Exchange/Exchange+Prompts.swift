import Distillation

extension Exchange {
    /// The prompts that trajectories of this run answer, in their order.
    package mutating func prompts(of trajectories: [ScoredTrajectory]) -> [Prompt] {
        trajectories.map { scored in
            let group = scored.trajectory.id.group
            switch scored.trajectory.kind {
            case .train: return plan.prompts[order.index(of: group)]
            case .evaluation: return plan.heldout[Int(group % UInt64(plan.heldout.count))]
            }
        }
    }
}

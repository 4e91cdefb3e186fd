/// When a run writes checkpoints, and which it keeps.
package struct CheckpointSchedule: Sendable, Equatable {
    /// Steps between checkpoints; 0: only at the end and when stopped.
    package var every: UInt64
    /// Newest checkpoints that are kept.
    package var keepLast: Int
    /// Steps between checkpoints that are kept for ever, beside the newest; 0: none.
    package var keepEvery: UInt64

    package init(every: UInt64 = 0, keepLast: Int = 3, keepEvery: UInt64 = 0) {
        self.every = every
        self.keepLast = keepLast
        self.keepEvery = keepEvery
    }

    /// Whether a checkpoint is due after so many completed steps.
    package func isDue(step: UInt64) -> Bool {
        step > 0 && [every, keepEvery].contains { $0 > 0 && step % $0 == 0 }
    }
}

import Logging

extension CheckpointStore {
    /// Writes a checkpoint on a thread of its own, and removes old ones once it is there. A failure is a warning, which
    /// is given here: the run goes on with the last good checkpoint.
    func save(
        _ state: CheckpointState, _ held: HeldState, _ schedule: CheckpointSchedule, configurationText: String?,
        _ logger: Logger
    ) async -> Result<Checkpoint, any Error> {
        let result = await onThread("opd-checkpoint") {
            defer { withExtendedLifetime(held) {} }
            return Result {
                try save(step: Int(state.step)) { folder in
                    try held.write(to: folder)
                    try state.write(to: folder)
                    if let configurationText {
                        try FileTree.write(configurationText, to: "\(folder)/\(CheckpointState.configurationName)")
                    }
                }
            }
        }
        do {
            let checkpoint = try result.get()
            logger.info("saved \(checkpoint.path)")
            try prune(keepLast: schedule.keepLast, keepEvery: Int(schedule.keepEvery))
        } catch {
            logger.warning("\(error)")
        }
        return result
    }
}

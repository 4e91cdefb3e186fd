extension CheckpointStore {
    /// Writes a checkpoint on a thread of its own.
    func save(
        _ state: CheckpointState, _ held: HeldState, configurationText: String?
    ) async -> Result<Checkpoint, any Error> {
        await onThread("opd-checkpoint") {
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
    }
}

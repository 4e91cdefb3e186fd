import RunFiles
import Watch

/// The folder of a run that a command reads.
enum RecordedRun {
    /// - Throws: `CommandError` for what is no run's folder.
    static func folder(_ path: String) throws(CommandError) -> RunFolder {
        let folder = RunFolder(path)
        guard RunDigest.isRun(folder) else {
            throw .usage(
                "\(folder.path) is not the folder of a run: it has neither config.yaml nor metrics.jsonl; give one that "
                    + "'opd run' has made")
        }
        return folder
    }

    /// What was thrown where a result is made, for a person.
    static func failure(_ error: any Error) -> any Error {
        error is CommandError || error is ClosedOutput ? error : CommandError(message: "\(error)")
    }
}

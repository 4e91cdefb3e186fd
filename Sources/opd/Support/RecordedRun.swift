import Files
import RunFiles
import Watch

/// The folder of a run that a command reads, and the file that it makes of it.
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

    /// The file that is written.
    /// - Parameters:
    ///   - given: what a person has asked for; nil: `name` in the folder.
    ///   - what: what it is, such as "page".
    /// - Throws: `CommandError` where a folder is.
    static func output(
        _ given: String?, or name: String, in folder: RunFolder, _ what: String
    ) throws(CommandError) -> String {
        let output = given ?? "\(folder.path)/\(name)"
        guard FileTree.kind(output) != .folder else {
            let ending = name.split(separator: ".").last ?? ""
            throw .usage("\(output) is a folder; give the \(what) a name with -o FILE.\(ending)")
        }
        return output
    }
}

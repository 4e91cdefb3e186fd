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
    ///   - given: what a person has asked for; nil: `name` in the first folder.
    ///   - what: what it is, such as "page".
    ///   - folders: the runs that it tells of, at least one.
    /// - Throws: `CommandError` where a folder is, or something that one of the runs itself makes.
    static func output(
        _ given: String?, or name: String, of folders: [RunFolder], _ what: String
    ) throws(CommandError) -> String {
        let output = given ?? "\(folders[0].path)/\(name)"
        let ending = name.split(separator: ".").last ?? ""
        guard FileTree.kind(output) != .folder else {
            throw .usage("\(output) is a folder; give the \(what) a name with -o FILE.\(ending)")
        }
        guard !folders.contains(where: { $0.makes(output) }) else {
            throw .usage("\(output) belongs to the run itself; give the \(what) another name with -o FILE.\(ending)")
        }
        return output
    }
}

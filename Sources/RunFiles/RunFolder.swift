import Files
import Glibc
import Wording

/// A run folder cannot be used.
package struct RunFolderError: MessageError, Equatable {
    package var message: String
    /// Whether the same command can succeed later, as on a disk that is full now: exit status 1 then, otherwise 2.
    package var isPassing: Bool

    package init(_ message: String, isPassing: Bool = false) {
        self.message = message
        self.isPassing = isPassing
    }
}

/// The folder of a run, and what is where in it.
package struct RunFolder: Sendable, Equatable {
    package let path: String

    /// Names the folder; touches nothing.
    package init(_ path: String) {
        var path = path
        while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.path = path
    }

    /// One line a step.
    package var metrics: String { "\(path)/metrics.jsonl" }
    /// Sampled texts with their log-probabilities.
    package var samples: String { "\(path)/samples.jsonl" }
    /// Trajectories that spoilt a step or were refused, and why.
    package var suspects: String { "\(path)/suspects.jsonl" }
    /// What the processes did with their time; and what did not fit into that any more.
    package var spans: String { "\(path)/spans.jsonl" }
    package var earlierSpans: String { "\(path)/spans-earlier.jsonl" }
    /// The resolved configuration.
    package var configuration: String { "\(path)/config.yaml" }
    /// Where the learner listens.
    package var endpoint: String { "\(path)/endpoint" }
    package var checkpoints: String { "\(path)/checkpoints" }
    /// A checkpoint of another run that was fetched, until it is taken over.
    package var fetched: String { "\(path)/fetched" }
    /// Is there while a run is being fetched into this folder, with the place's name.
    package var fetching: String { "\(path)/fetching" }
    /// The place from which a run was fetched until that was cut off; nil: it was not.
    package var cutOffFetch: String? {
        guard FileTree.kind(fetching) != .missing else { return nil }
        return (try? FileTree.read(fetching)).map { String($0.trimmed) } ?? ""
    }
    package var logs: String { "\(path)/logs" }
    /// The log of the process with this name, such as `rollout-0`.
    package func log(_ name: String) -> String { "\(logs)/\(name).log" }

    /// Makes the folder of a new run, or takes that of an earlier one.
    ///
    /// The folder of a start that failed is emptied first.
    /// - Parameters:
    ///   - resume: whether an earlier run is to be continued, if there is one; without it a folder that exists is
    ///     refused. A job that may be started again and again can always say so.
    ///   - hasAgain: whether the command can begin anew (`--again`), for the refusal.
    ///   - isManaged: whether this process was started by a supervisor, which has made the folder.
    package static func open(
        _ path: String, resume: Bool, hasAgain: Bool = false, isManaged: Bool = false
    ) throws(RunFolderError) -> RunFolder {
        let folder = RunFolder(path)
        do {
            let isThere = FileTree.kind(folder.path) != .missing
            if isThere, resume || isManaged {
                guard FileTree.leadsToFolder(folder.path) else {
                    throw RunFolderError("\(folder.path) is not a folder; choose another name or run_folder")
                }
            } else {
                try check(folder.path, hasAgain: hasAgain)
                if isThere { try FileTree.remove(folder.path) }
                try FileTree.createFolder(folder.path)
            }
            try FileTree.createFolder(folder.logs)
            try FileTree.createFolder(folder.checkpoints)
        } catch let error as RunFolderError {
            throw error
        } catch {
            throw RunFolderError("\(error); the run folder cannot be made; choose another with run_folder")
        }
        return folder
    }

    /// Gives the folder of an earlier run another name (`runs/x-1`), so that a run of its name can begin anew.
    /// - Returns: the new path; nil when there was no folder.
    /// - Throws: when the folder is no run's, or the run goes on.
    package static func setAside(_ path: String) throws(RunFolderError) -> String? {
        let folder = RunFolder(path)
        guard FileTree.kind(folder.path) != .missing else { return nil }
        guard FileTree.leadsToFolder(folder.checkpoints), FileTree.leadsToFolder(folder.logs) else {
            throw RunFolderError("\(folder.path) is not the folder of a run; choose another name or run_folder")
        }
        let lock = try folder.lock()
        defer { withExtendedLifetime(lock) {} }
        var number = 1
        while FileTree.kind("\(folder.path)-\(number)") != .missing { number += 1 }
        let kept = "\(folder.path)-\(number)"
        do { try FileTree.rename(folder.path, to: kept) } catch { throw RunFolderError("\(error)") }
        return kept
    }

    /// Claims the folder for the learner of this process, until the lock is let go or the process ends.
    package func lock() throws(RunFolderError) -> RunFolderLock {
        do {
            let file = try OpenFile(path, .readOnly, .directory)
            guard flock(file.descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 else {
                let error = FileError(path, code: errno)
                throw RunFolderError(
                    error.code == .wouldBlock
                        ? "\(path) is in use by another learner; wait for it to end or stop it" : "\(error)")
            }
            return RunFolderLock(file)
        } catch {
            throw error as? RunFolderError ?? RunFolderError("\(error)")
        }
    }

    /// Writes a file that is there whole or not at all.
    package func write(_ text: String, to path: String) throws(RunFolderError) {
        do { try FileTree.write(text, to: path) } catch { throw RunFolderError("\(error)", isPassing: true) }
    }

    /// Says where the learner listens; to be called when it does.
    package func writeEndpoint(_ endpoint: String) throws(RunFolderError) {
        try write(endpoint + "\n", to: self.endpoint)
    }

    /// Where the learner listens; nil while it has not said so.
    package func readEndpoint() -> String? {
        guard let text = try? FileTree.read(endpoint), text.hasSuffix("\n") else { return nil }
        let endpoint = String(text.dropLast())
        return endpoint.isEmpty ? nil : endpoint
    }

    /// Gives the metrics and samples of a run that starts again from the beginning other names (`metrics-1.jsonl`).
    ///
    /// A run that ended before its first checkpoint has nothing to go on from but its configuration: its steps are
    /// done again, and what it recorded of them is kept aside.
    ///
    /// - Parameter staging: the folder of the term in which this is done, see ``TermFolder``; nil: there are none.
    /// - Returns: the new paths, empty when there was nothing.
    package func setAside(through staging: String? = nil) throws(RunFolderError) -> [String] {
        var kept: [String] = []
        for file in [metrics, samples, suspects] where FileTree.hasContent(file) {
            let stem = file.dropLast(".jsonl".count)
            var number = 1
            while FileTree.kind("\(stem)-\(number).jsonl") != .missing { number += 1 }
            do {
                let aside = "\(stem)-\(number).jsonl"
                if let staging {
                    // Under both names first: what stands in the term's folder goes with a kill. A file system without
                    // hard links has that moment.
                    let staged = "\(staging)/aside.jsonl"
                    let isLinked = FileTree.kind(staging) == .folder && Glibc.link(file, aside) == 0
                    try FileTree.rename(file, to: staged)
                    if isLinked { try FileTree.remove(staged) } else { try FileTree.rename(staged, to: aside) }
                } else {
                    try FileTree.rename(file, to: aside)
                }
            } catch {
                throw RunFolderError("\(error)")
            }
            kept.append("\(stem)-\(number).jsonl")
        }
        return kept
    }
}

/// A learner's claim on its run folder, given up with the last reference to this.
package final class RunFolderLock: Sendable {
    private let file: OpenFile
    init(_ file: consuming OpenFile) { self.file = file }
}

import RunFiles
import Wire

/// What is watched: a run's folder on this machine, or a learner somewhere.
package enum WatchSource: Sendable, Equatable {
    case folder(RunFolder)
    case endpoint(String)

    var name: String {
        switch self {
        case .folder(let run): run.path.split(separator: "/").last.map(String.init) ?? run.path
        case .endpoint(let endpoint): endpoint
        }
    }
}

/// What came of asking a learner how its run is.
package enum StatusAnswer: Sendable, Equatable {
    case status(Status)
    /// Why there is none, for a person.
    case silence(String)
}

/// What is known of one run that is watched.
struct WatchedRun: Sendable {
    let source: WatchSource
    /// No two of a watcher are alike.
    let name: String
    /// What its folder tells; nil before that was read, and of a learner without one.
    var digest: RunDigest?
    /// Changes with the digest.
    var digestRevision = 0
    var answer: StatusAnswer?
    /// Changes with the answer.
    var answerRevision = 0
    /// Whether a process of this machine has the folder as its run's.
    var isHeld = false

    /// Whether its folder, where it has one, was read.
    var isBegun: Bool {
        if case .folder = source { digest != nil } else { true }
    }
}

extension [WatchSource] {
    /// Names that tell the runs apart: the last of the path, or all of it.
    var names: [String] {
        map { source in
            guard filter({ $0.name == source.name }).count > 1 else { return source.name }
            if case .folder(let run) = source { return run.path }
            return source.name
        }
    }
}

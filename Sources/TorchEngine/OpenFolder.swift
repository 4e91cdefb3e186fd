import Files
import Foundation

/// A folder that is found again when it was renamed, as a checkpoint is when it is whole.
final class OpenFolder: Sendable {
    private let descriptor: Int32

    /// The folder at a path; nil where there is none.
    init?(_ path: String) {
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor < 0 { return nil }
    }

    deinit { _ = close(descriptor) }

    /// Where it is now; nil when it was removed.
    var path: String? {
        guard let path = FileTree.target(ofLink: "/proc/self/fd/\(descriptor)"), FileTree.kind(path) != .missing else {
            return nil
        }
        return path
    }
}

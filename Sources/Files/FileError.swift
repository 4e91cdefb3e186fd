import SystemPackage

/// A file or folder could not be used: which, what was tried, and why not, in one line.
package struct FileError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was tried, where the reason alone would not tell.
    package enum Attempt: String, Sendable {
        case use = ""
        case openForWriting = "cannot be opened for writing: "
        case read = "cannot be read: "
        case write = "cannot be written: "
        case cut = "cannot be cut: "
        case map = "cannot be mapped: "
        case place = "cannot be put in place: "
    }

    /// Why it did not work.
    package enum Reason: Sendable, Equatable {
        case system(Errno)
        /// A folder, a pipe or a device is there.
        case notFile
        /// The file has more bytes than such a file can have.
        case tooLong(limit: Int)
    }

    package let path: String
    package let attempt: Attempt
    package let reason: Reason

    package init(_ path: String, _ attempt: Attempt = .use, _ reason: Reason) {
        self.path = path
        self.attempt = attempt
        self.reason = reason
    }

    package init(_ path: String, _ attempt: Attempt = .use, _ code: Errno) { self.init(path, attempt, .system(code)) }

    /// The error that a system call has just left in `errno`, or returned.
    package init(_ path: String, _ attempt: Attempt = .use, code: Int32) {
        self.init(path, attempt, Errno(rawValue: code))
    }

    /// The system's number of the error; nil when this program set the condition.
    package var code: Errno? { if case .system(let code) = reason { code } else { nil } }

    /// The reason without path and attempt.
    package var reasonText: String {
        switch reason {
        case .system(let code): "\(code)"
        case .notFile: "not a file"
        case .tooLong(let limit): "more than the \(limit) bytes that such a file can have"
        }
    }

    package var description: String { "\(path): \(attempt.rawValue)\(reasonText)" }
}

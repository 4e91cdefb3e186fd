import ArgumentParser
import Configuration
import Glibc
import RunFiles
import Telemetry
import Wording

/// An error of a subcommand: one line for a person, and the exit status.
struct CommandError: Error {
    var message: String
    var status: Int32 = 1

    static func usage(_ message: String) -> CommandError { CommandError(message: message, status: 2) }
}

/// What `opd` prints and exits with after an error.
struct Failure {
    /// Lines for standard error, each already whole.
    var lines: [String] = []
    /// Text for standard output: help, the version.
    var output = ""
    var status: Int32

    init(_ error: any Error) {
        switch error {
        case let error as CommandError: (lines, status) = (["error: \(error.message)"], error.status)
        case let error as ConfigurationError: (lines, status) = (error.problems.map { "error: \($0)" }, 2)
        case let error as UsageError: (lines, status) = (["error: \(error)"], 2)
        case let error as RunFolderError: (lines, status) = (["error: \(error)"], error.isPassing ? 1 : 2)
        case is ClosedOutput: status = 0
        default:
            let code = OPD.exitCode(for: error)
            if code == .success {
                (output, status) = (OPD.fullMessage(for: error), 0)
            } else if code == .validationFailure {
                let message = OPD.message(for: error).split(separator: "\n").first.map(String.init) ?? "wrong usage"
                (lines, status) = (["error: \(message) (see 'opd --help')"], 2)
            } else if error is ExitCode {
                status = code.rawValue
            } else {
                (lines, status) = (["error: \(error)"], 1)
            }
        }
    }

    func exit() -> Never {
        if !output.isEmpty { print(output) }
        // Files and peers have a say in these lines: they must not steer the terminal, nor fill it.
        for line in lines { printToStandardError(RunLogHandler.oneLine(String(line.prefix(4096)))) }
        Glibc.exit(status)
    }
}

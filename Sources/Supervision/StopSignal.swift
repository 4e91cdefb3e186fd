import Glibc
import Locking
import UnixSignals

/// Turns the first SIGINT or SIGTERM into an orderly stop, and the second into an immediate end.
///
/// In a learner SIGUSR1, by which batch schedulers tell that the time is nearly over, is an orderly stop too, and never
/// an immediate end; other processes ignore it, for the learner needs them until it is done.
package final class StopSignal: Sendable {
    private let task: Task<Void, Never>
    private let received = Locked<Int32>(0)

    /// Ends an orderly stop before a time limit: the run is not done and can be continued (EX_TEMPFAIL of sysexits.h).
    package static let timeLimitExitCode: Int32 = 75

    /// - Parameters:
    ///   - isLearner: whether SIGUSR1 is to stop this process.
    ///   - hurry: called before the immediate end, with the signal's name.
    ///   - stop: called once, with the signal's name.
    package init(
        isLearner: Bool = false, hurry: @escaping @Sendable (_ signal: String) -> Void = { _ in },
        _ stop: @escaping @Sendable (_ signal: String) async -> Void
    ) {
        let received = received
        task = Task {
            let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm, .sigusr1)
            for await signal in signals {
                let number = signal.rawValue
                if number == SIGUSR1, !isLearner { continue }
                let before = received.withLock { value in
                    defer { if value == 0 || value == SIGUSR1 { value = number } }
                    return value
                }
                // Schedulers send SIGUSR1 first and SIGTERM later: only a second order from a person is one to hurry.
                if before == SIGUSR1 || (before != 0 && number == SIGUSR1) { continue }
                guard before == 0 else {
                    hurry("\(signal)")
                    exit(128 + number)
                }
                await stop("\(signal)")
            }
        }
    }

    /// Whether a signal came.
    package var isReceived: Bool { received.withLock { $0 != 0 } }

    /// 128 plus the signal's number, as shells report it; that of SIGTERM when none came.
    package var exitCode: Int32 {
        let number = received.withLock { $0 }
        return 128 + (number == 0 ? SIGTERM : number)
    }

    package func end() { task.cancel() }
}

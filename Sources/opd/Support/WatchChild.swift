import Files
import Foundation
import Locking
import RunFiles
import Supervision

/// The page of a run that this process leads: `opd watch` as a process of its own, in which nothing can go wrong that
/// the run would notice.
final class WatchChild: Sendable {
    private let child: RunningChild
    private let hasEnded: Locked<Bool>
    let address: String

    private init(_ child: RunningChild, _ hasEnded: Locked<Bool>, _ address: String) {
        self.child = child
        self.hasEnded = hasEnded
        self.address = address
    }

    /// Seconds in which the page is there, or the run begins without.
    private static let patience = 5.0

    /// Starts it and says where the page is; where that fails, says so and returns nil.
    static func start(for folder: RunFolder) async -> WatchChild? {
        let log = folder.log("watch")
        let before = (try? OpenFile.reading(log).size()) ?? 0
        let spec = ProcessSpec(
            name: "watch", role: .member, executable: "/proc/self/exe", arguments: ["watch", folder.path], logPath: log)
        let started = Locked<RunningChild?>(nil), hasEnded = Locked(false)
        RunningChild.start(
            spec, arguments: spec.arguments, started: { child in started.withLock { $0 = child } },
            ended: { _ in hasEnded.withLock { $0 = true } })
        let deadline = ContinuousClock.now + .seconds(patience)
        while ContinuousClock.now < deadline, !hasEnded.withLock({ $0 }) {
            if let child = started.withLock({ $0 }), let address = Self.address(in: log, from: before) {
                printToStandardError("watch the run at \(address)")
                return WatchChild(child, hasEnded, address)
            }
            try? await Task.sleep(for: .milliseconds(10))
        }
        started.withLock { $0 }?.send(SIGKILL)
        let reason = LogTail.lines(of: log).last ?? "it has not said where it is"
        printToStandardError("warning: the run goes on without a page: \(reason) (\(log))")
        return nil
    }

    /// Lets the pages know that the run has ended, and ends the process.
    func stop() async {
        child.send(SIGTERM)
        let deadline = ContinuousClock.now + .seconds(Self.patience)
        while ContinuousClock.now < deadline, !hasEnded.withLock({ $0 }) {
            try? await Task.sleep(for: .milliseconds(10))
        }
        if !hasEnded.withLock({ $0 }) { child.send(SIGKILL) }
    }

    private static func address(in log: String, from start: Int) -> String? {
        guard let file = try? OpenFile.reading(log), let bytes = try? file.readAll(limit: 16 << 20),
            bytes.count > start
        else { return nil }
        let lines = String(decoding: bytes[start...], as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false)
        return lines.dropLast().first { $0.hasPrefix("http://") }.map(String.init)
    }
}

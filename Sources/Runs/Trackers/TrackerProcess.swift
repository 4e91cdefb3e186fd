import Configuration
import Dispatch
import Files
import Foundation
import JSON
import Locking
import Logging
import RunFiles
import Supervision
import Wording

/// The process that hands a run's numbers to Weights & Biases, trackio and MLflow, through their own Python clients.
///
/// Lines go to it through a bounded queue that a thread of its own empties: whatever the process does, no caller waits
/// for it. What does not fit is left out, which is said once, as is its end.
final class TrackerProcess: Sendable {
    private struct State {
        var child: RunningChild?
        var status: ChildStatus?
        var waiting = 0
        var hasComplained = false
    }

    private let state = Locked(State())
    private let queue = DispatchQueue(label: "opd-trackers")
    private let ended = DispatchSemaphore(value: 0)
    /// Where lines are written; the other end is the process's standard input.
    private let output: FileHandle
    private let names: String
    private let log: String
    private let logger: Logger

    /// Most lines that wait to be written.
    private static let most = 10_000

    /// Starts the process.
    /// - Parameters:
    ///   - lastStep: what the run goes on after; nil: it begins.
    ///   - values: the configuration's keys and values.
    init(
        _ telemetry: RunConfiguration.Telemetry, run: RunFolder, name: String, resumingAfter lastStep: UInt64?,
        values: [(key: String, value: String)], logger: Logger
    ) {
        let pipe = Pipe()
        output = pipe.fileHandleForWriting
        log = run.log("trackers")
        names = telemetry.trackers.map(\.client).joined(separator: " and ")
        self.logger = logger
        let arguments = ["-c", Self.script]
        var spec = ProcessSpec(
            name: "trackers", role: .member, executable: ProcessSpec.path(of: telemetry.python), arguments: arguments,
            environment: ["PYTHONUNBUFFERED": "1"], logPath: log)
        spec.input = pipe.fileHandleForReading.fileDescriptor
        let state = state, ended = ended
        RunningChild.start(spec, arguments: arguments) { child in
            state.withLock { $0.child = child }
            // From here on the process has it alone, and its end is the end of the pipe.
            try? pipe.fileHandleForReading.close()
        } ended: { status in
            try? pipe.fileHandleForReading.close()
            state.withLock { $0.status = status }
            ended.signal()
        }
        func object(_ pairs: [(key: String, value: String)]) -> String {
            JSONText.object(pairs.map { ($0.key, JSONText.string($0.value)) })
        }
        send(
            "begin",
            JSONText.object([
                ("name", JSONText.string(name)), ("folder", JSONText.string(run.path)),
                ("resumes_after", lastStep.map(String.init) ?? "null"), ("configuration", object(values)),
                ("trackers", object(telemetry.trackers.map { ($0.client, $0.place) })),
            ]))
    }

    /// Hands on a line of `metrics.jsonl`.
    func append(_ line: String) { send("metrics", line) }

    private func send(_ name: String, _ json: String) {
        let isTaken = state.withLock { state in
            guard state.status == nil, state.waiting < Self.most else { return false }
            state.waiting += 1
            return true
        }
        guard isTaken else { return complain() }
        let bytes = Array("{\"\(name)\": \(json)}\n".utf8), output = output.fileDescriptor, state = state
        queue.async {
            // A process that has ended takes nothing; whoever sends next says so.
            writeAll(bytes, to: output)
            state.withLock { $0.waiting -= 1 }
        }
    }

    private func complain() {
        let status = state.withLock { state -> ChildStatus?? in
            guard !state.hasComplained else { return nil }
            state.hasComplained = true
            return .some(state.status)
        }
        guard let status else { return }
        if let status {
            logger.warning("\(names): the process for them \(status), see \(log); the run goes on without it")
        } else {
            logger.warning("\(names): they are too slow, what they do not take is left out; see \(log)")
        }
    }

    /// Tells how the run has ended, and waits a while for the clients to hand that on.
    /// - Parameters:
    ///   - how: `finished` or `stopped`; nil: the run has failed.
    ///   - seconds: how long it waits; what is not there yet then is lost.
    func finish(_ how: String?, within seconds: Double) {
        if let how { send("end", JSONText.string(how)) }
        let output = output
        queue.async { try? output.close() }
        guard ended.wait(timeout: .now() + seconds) == .timedOut else {
            if state.withLock({ $0.status }) != .exited(0) { complain() }
            return
        }
        logger.warning(
            "\(names): not done \(Int(seconds)) s after the run's end; what they have not sent by now is lost")
        state.withLock { $0.child?.send(SIGKILL) }
    }
}

extension TrackerProcess {
    private static let script = String(decoding: PackageResources.trackers_py, as: UTF8.self)

    /// Refuses clients that are not installed, by name, before anything is started.
    static func check(_ telemetry: RunConfiguration.Telemetry) throws {
        let clients = telemetry.trackers.map(\.client)
        guard !clients.isEmpty else { return }
        let process = Process(), output = Pipe()
        process.executableURL = URL(filePath: ProcessSpec.path(of: telemetry.python))
        process.arguments = ["-c", script, "--check"] + clients
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        let key = "telemetry.\(clients[0])"
        do { try process.run() } catch {
            throw UsageError("\(key): \(telemetry.python) cannot be run; set telemetry.python to a Python 3")
        }
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw UsageError("\(key): \(telemetry.python) is no Python 3 that works; set telemetry.python to one")
        }
        let missing = text.split(separator: "\n").map(String.init).filter(clients.contains)
        guard let first = missing.first else { return }
        throw UsageError(
            "telemetry.\(first): the Python package \(first) is not installed for \(telemetry.python); install it "
                + "(pip install \(missing.joined(separator: " "))), set telemetry.python to a Python that has it, or "
                + "leave the key out")
    }
}

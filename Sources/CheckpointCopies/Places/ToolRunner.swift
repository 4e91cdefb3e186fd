import Dispatch
import Files
import Glibc
import Locking
import Supervision

/// Runs the user's own ssh, rsync and sftp, one at a time.
///
/// What they say goes to files and is bounded; what takes too long is ended with all that it has started, and with this
/// process.
package final class ToolRunner: Sendable {
    package struct Outcome: Sendable {
        /// The exit status; 128 and its number after a signal.
        package var status: Int32
        /// One byte more than the limit where there was more.
        package var output: [UInt8]
        /// The last line on standard error.
        package var complaint: String
    }

    private struct State {
        var child: RunningChild?
        var isStopped = false
    }

    private let state = Locked(State())
    /// Most bytes on standard error.
    private static let mostComplaints: UInt64 = 1 << 20

    package init() {}

    /// Runs a program that is found as a shell finds it.
    /// - Parameters:
    ///   - input: its standard input.
    ///   - limit: the most bytes of its standard output.
    ///   - seconds: how long it may take.
    /// - Returns: nil where it cannot be started, or this runner was stopped.
    package func run(
        _ program: String, _ arguments: [String], input: [UInt8] = [], limit: Int = 1 << 20, within seconds: Double
    ) -> Outcome? {
        guard !state.withLock({ $0.isStopped }), let folder = Self.scratch() else { return nil }
        defer { try? FileTree.remove(folder) }
        let output = "\(folder)/out", errors = "\(folder)/err"
        guard let source = try? Self.source(input, at: "\(folder)/in") else { return nil }
        var spec = ProcessSpec(
            name: program, role: .member, executable: ProcessSpec.path(of: program), arguments: [], logPath: output)
        spec.errorPath = errors
        spec.input = source.descriptor.rawValue
        spec.endsWithParent = true
        let ended = DispatchSemaphore(value: 0), end = Locked<ChildStatus?>(nil)
        RunningChild.start(
            spec, arguments: arguments,
            started: { [state] child in
                let isStopped = state.withLock { state in
                    state.child = child
                    return state.isStopped
                }
                if isStopped { child.send(SIGTERM) }
            },
            ended: { status in
                end.withLock { $0 = status }
                ended.signal()
            })
        let deadline = ContinuousClock.now + .seconds(seconds)
        var isLate = false
        while ended.wait(timeout: .now() + .milliseconds(50)) == .timedOut {
            isLate = ContinuousClock.now >= deadline
            let isTooMuch =
                ((try? FileTree.size(output)) ?? 0) > UInt64(limit)
                || ((try? FileTree.size(errors)) ?? 0) > Self.mostComplaints
            if isLate || isTooMuch { state.withLock { $0.child }?.send(SIGKILL) }
        }
        withExtendedLifetime(source) {}
        state.withLock { $0.child = nil }
        let status: Int32
        switch end.withLock({ $0 }) {
        case .exited(let code): status = code
        case .signalled(let signal): status = 128 + signal
        case .notStarted, nil: return nil
        }
        let bytes = (try? OpenFile.reading(output).read(count: limit + 1)) ?? []
        return Outcome(
            status: status, output: bytes,
            complaint: isLate ? "it did not end within \(Int(seconds)) s" : Self.lastLine(of: errors))
    }

    /// Ends what runs now, and starts nothing any more.
    package func stop() {
        let child = state.withLock { state in
            state.isStopped = true
            return state.child
        }
        child?.send(SIGTERM)
    }

    /// A folder of this call's own.
    private static func scratch() -> String? {
        let above = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(above)/opd-tool-XXXXXX".utf8CString)
        guard template.withUnsafeMutableBufferPointer({ mkdtemp($0.baseAddress!) != nil }) else { return nil }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func source(_ bytes: [UInt8], at path: String) throws(FileError) -> OpenFile {
        try OpenFile(path, .writeOnly, [.create, .exclusiveCreate], permissions: .ownerReadWrite).write(bytes)
        return try OpenFile.reading(path)
    }

    private static func lastLine(of path: String) -> String {
        let said = (try? FileTree.end(of: path, count: 1 << 12).bytes) ?? []
        let last = String(decoding: said, as: UTF8.self).split(whereSeparator: \.isNewline).last {
            !$0.allSatisfy(\.isWhitespace)
        }
        return String(
            (last ?? "").unicodeScalars.prefix(300).map { $0.value < 0x20 || $0.value == 0x7f ? "?" : Character($0) })
    }
}

import Foundation
import Locking

/// Runs the user's own ssh, rsync and sftp, one at a time.
///
/// What they say is bounded; what they take in is handed to them while they run, so that neither waits for the other for
/// ever; and one that does not end in its time is ended.
final class ToolRunner: Sendable {
    struct Outcome {
        var status: Int32
        var output: [UInt8]
        /// The last line on standard error.
        var complaint: String
    }

    private struct State {
        var process: Int32?
        var isStopped = false
    }

    private let state = Locked(State())

    /// Runs a program that is found as a shell finds it.
    /// - Parameters:
    ///   - input: its standard input.
    ///   - limit: the most bytes of its standard output.
    ///   - seconds: how long it may take.
    /// - Returns: nil where it cannot be started, or this runner was stopped.
    func run(
        _ program: String, _ arguments: [String], input: [UInt8] = [], limit: Int = 1 << 20, within seconds: Double
    ) -> Outcome? {
        let process = Process(), source = Pipe(), output = Pipe(), errors = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [program] + arguments
        (process.standardInput, process.standardOutput, process.standardError) = (source, output, errors)
        let hasStarted = state.withLock { state in
            guard !state.isStopped, (try? process.run()) != nil else { return false }
            state.process = process.processIdentifier
            return true
        }
        guard hasStarted else { return nil }
        let identifier = process.processIdentifier
        let clock = DispatchWorkItem { kill(identifier, SIGKILL) }
        DispatchQueue.global().asyncAfter(deadline: .now() + seconds, execute: clock)
        let said = Locked<[UInt8]>([]), heard = DispatchGroup()
        let errorHandle = errors.fileHandleForReading, inputHandle = source.fileHandleForWriting
        heard.enter()
        Thread.detachNewThread {
            while let data = try? errorHandle.read(upToCount: 1 << 12), !data.isEmpty {
                said.withLock { $0 = Array(($0 + data).suffix(1 << 12)) }
            }
            heard.leave()
        }
        Thread.detachNewThread {
            try? inputHandle.write(contentsOf: input)
            try? inputHandle.close()
        }
        var bytes: [UInt8] = []
        while bytes.count <= limit, let data = try? output.fileHandleForReading.read(upToCount: 1 << 16),
            !data.isEmpty
        {
            bytes += data
        }
        if bytes.count > limit { kill(identifier, SIGKILL) }
        process.waitUntilExit()
        clock.cancel()
        state.withLock { $0.process = nil }
        heard.wait()
        let text = String(decoding: said.withLock { $0 }, as: UTF8.self)
        let last = text.split(whereSeparator: \.isNewline).last { !$0.allSatisfy(\.isWhitespace) } ?? ""
        let plain = String(
            last.unicodeScalars.prefix(300).map { $0.value < 0x20 || $0.value == 0x7f ? "?" : Character($0) })
        return Outcome(status: process.terminationStatus, output: bytes, complaint: plain)
    }

    /// Ends what runs now, and starts nothing any more.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            if let process = state.process { kill(process, SIGTERM) }
        }
    }
}

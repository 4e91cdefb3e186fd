import Engines
import Files
import Foundation
import JSON
import Logging
import ZeroMQ

/// A torch engine that runs, and the socket over which it is spoken to: one request at a time.
///
/// Whoever has it uses it from one thread at a time.
final class TorchConnection {
    private let process: TorchProcess
    private let socket: Socket
    /// A folder of this user alone: it has the socket, and snapshots that have no file of their own.
    let folder: String
    let processes: Int
    private var number = 0
    private static let logger = Logger(label: "opd.torch")

    /// How long a rank may take to say that it is there: python reads a gigabyte of libraries first.
    private static let startPatience = Duration.seconds(600)
    /// After how long such a wait is said, and said again.
    private static let waitIsSaid = Duration.seconds(15)
    /// How long a request may take before the engine counts as hung.
    private static let patience = Duration.seconds(3600)
    private static let longestFrame = 1 << 30

    /// Starts an engine and waits until it is there.
    init(_ reference: TorchReference, threads: Int) throws {
        processes = reference.processes
        folder = try TorchFolder.make()
        let endpoint = TorchFolder.endpoint(in: folder)
        socket = try Socket(try Context(), .dealer)
        try socket.set(.maximumMessageBytes, to: Self.longestFrame)
        try socket.bind(endpoint)
        process = TorchProcess(reference, endpoint: endpoint, threads: threads)
        do {
            let hello = try receive(within: Self.startPatience) { waited in
                let seconds = waited.components.seconds, most = Self.startPatience.components.seconds
                Self.logger.notice(
                    "waiting for the torch engine: \(reference.python) starts for \(seconds) s; it has \(most) s")
            }
            guard hello.verb == "hello", hello.fields["processes"]?.int == processes else {
                throw TorchFailure.notStarted("the torch engine said \(hello.verb) instead of hello")
            }
        } catch TorchFailure.died(let reason, _) where !process.wasKilled {
            throw TorchFailure.notStarted("torch.python: \(reference.python): the engine \(reason)")
        }
    }

    deinit {
        socket.close()
        process.kill()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Asks, and waits for the answer.
    func call(_ request: TorchMessage) throws -> TorchMessage {
        var request = request
        number += 1
        request.id = number
        try send(request.frames)
        while true {
            let answer = try receive(within: Self.patience)
            if answer.id == number { return answer }
        }
    }

    /// Waits until the socket takes a message: it takes none while the engine is not there.
    private func send(_ frames: [[UInt8]]) throws {
        let first = try SocketFrame(frames[0])
        while try !socket.trySend(first, more: true) {
            guard process.status == nil else { throw death }
            _ = try poll([.socket(socket, .writable)], milliseconds: 100)
        }
        for (index, bytes) in frames.enumerated().dropFirst() {
            // What follows a frame that was taken is taken.
            _ = try socket.trySend(try SocketFrame(bytes), more: index + 1 < frames.count)
        }
    }

    /// - Parameter stillWaiting: is told now and then how long it has taken.
    private func receive(
        within patience: Duration, stillWaiting: (Duration) -> Void = { _ in }
    ) throws -> TorchMessage {
        let start = ContinuousClock.now, deadline = start + patience
        var said = start
        var isOver = false
        while true {
            if let frames = try socket.tryReceive() { return try Self.answer(frames) }
            // One more look after its end: it may have said why.
            if isOver { throw death }
            isOver = process.status != nil
            guard ContinuousClock.now < deadline else {
                process.kill()
                throw TorchFailure.died(reason: "did not answer for \(patience)", canBeTriedAgain: true)
            }
            if said.duration(to: .now) > Self.waitIsSaid {
                said = .now
                stillWaiting(start.duration(to: said))
            }
            _ = try poll([.socket(socket, .readable)], milliseconds: isOver ? 200 : 100)
        }
    }

    private var death: TorchFailure {
        let words = process.lastWords.map { ": \($0.prefix(400))" } ?? ""
        let status = process.status.map { "\($0)" } ?? "is gone"
        return .died(reason: status + words, canBeTriedAgain: !words.contains(": out of memory in "))
    }

    private static func answer(_ frames: [SocketFrame]) throws -> TorchMessage {
        let message: TorchMessage
        do {
            message = try TorchMessage(reading: frames.map(\.array))
        } catch {
            throw TorchFailure.died(reason: "sent what cannot be read: \(error)", canBeTriedAgain: false)
        }
        guard message.verb == "error" else { return message }
        let code = message.fields["code"]?.string ?? "failure",
            reason = message.fields["message"]?.string ?? "no reason"
        switch code {
        case "memory", "failure":
            throw TorchFailure.died(reason: "ended: \(reason)", canBeTriedAgain: code == "failure")
        default: throw TorchFailure.refused(code: code, reason: reason)
        }
    }
}

import CCurl
import Locking

/// One request under way, and who waits for its answer.
final class CurlTransfer: Sendable {
    typealias Result = Swift.Result<HTTPAnswer, HTTPFailure>

    private struct State: Sendable {
        var continuation: CheckedContinuation<Result, Never>?
        var body: [UInt8] = []
        var isCancelled = false
        var isEnded = false
    }

    /// libcurl's code for bytes that were not taken.
    private static let writeError: Int32 = 23

    let request: HTTPRequest
    private let state = Locked(State())

    init(_ request: HTTPRequest) { self.request = request }

    var isCancelled: Bool { state.withLock { $0.isCancelled } }
    var isEnded: Bool { state.withLock { $0.isEnded } }

    func begin(_ continuation: CheckedContinuation<Result, Never>) {
        state.withLock { $0.continuation = continuation }
    }

    func cancel() { state.withLock { $0.isCancelled = true } }

    /// - Returns: false when the answer is too long.
    func receive(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        let received = Array(bytes)
        return state.withLock { state in
            guard received.count <= request.answerLimit - state.body.count else { return false }
            state.body += received
            return true
        }
    }

    /// - Parameters:
    ///   - code: libcurl's; 0: there is an answer.
    ///   - connects: connections that were made for it.
    func finish(code: Int32, status: Int, connects: Int, message: String) {
        if code == 0 {
            let body = state.withLock { $0.body }
            end(.success(HTTPAnswer(status: status, body: body, isFirst: connects > 0)))
        } else if code == Self.writeError {
            end(.failure(HTTPFailure(.tooLong, "the answer has more than \(request.answerLimit) bytes")))
        } else if ccurl_is_timeout(code) != 0 {
            end(.failure(HTTPFailure(.timedOut, message)))
        } else {
            end(.failure(HTTPFailure(.broken, message)))
        }
    }

    /// Tells who waits; only the first end counts.
    func end(_ result: Result) {
        let waiting = state.withLock { state in
            state.isEnded = true
            defer { state.continuation = nil }
            return state.continuation
        }
        waiting?.resume(returning: result)
    }
}

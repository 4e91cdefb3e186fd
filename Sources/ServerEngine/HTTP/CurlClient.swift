import CCurl
import Foundation
import Locking
import Wording

/// HTTP by libcurl: one thread drives any number of requests and keeps connections open between them.
package final class CurlClient: HTTPSending {
    private let core: CurlCore

    /// - Throws: `HTTPFailure` where libcurl is missing.
    package init() throws(HTTPFailure) {
        if let missing = ccurl_missing() { throw HTTPFailure(.impossible, String(cString: missing)) }
        let core = try CurlCore()
        self.core = core
        let thread = Thread { core.run() }
        thread.name = "http"
        thread.start()
    }

    deinit { core.close() }

    package func send(_ request: HTTPRequest) async throws(HTTPFailure) -> HTTPAnswer {
        let transfer = CurlTransfer(request), core = core
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                transfer.begin(continuation)
                core.enqueue(.begin(transfer))
            }
        } onCancel: {
            transfer.cancel()
            core.enqueue(.cancel(transfer))
        }
        return try result.get()
    }
}

/// What the thread and those that wait for it share.
///
/// `@unchecked Sendable`: libcurl's client and the transfers under way are the thread's alone, in `run` and what that
/// calls. Others only wake it, which libcurl allows, under the lock and while it is open.
private final class CurlCore: @unchecked Sendable {
    /// What is asked of the thread.
    enum Order: Sendable {
        case begin(CurlTransfer)
        case cancel(CurlTransfer)
    }

    private struct State: Sendable {
        var orders: [Order] = []
        var isClosed = false
    }

    /// How long it may take to reach a server.
    private static let connectTimeout = 10_000
    /// How long the thread sleeps unless it is woken.
    private static let slice: Int32 = 1_000
    private static let closed = HTTPFailure(.cancelled, "the client is closed")

    private let client: OpaquePointer
    private let state = Locked(State())
    private var handles: [ObjectIdentifier: (transfer: CurlTransfer, handle: OpaquePointer)] = [:]

    init() throws(HTTPFailure) {
        let client = ccurl_open(
            { context, bytes, count in
                guard let context else { return 0 }
                let transfer = Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
                return transfer.receive(UnsafeBufferPointer(start: bytes, count: count)) ? 1 : 0
            },
            { context, code, status, connects, message in
                guard let context else { return }
                let transfer = Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
                transfer.finish(
                    code: code, status: status, connects: connects,
                    message: message.map { String(cString: $0) } ?? "")
            })
        guard let client else { throw HTTPFailure(.impossible, "libcurl has no memory") }
        self.client = client
    }

    func enqueue(_ order: Order) {
        let isTaken = state.withLock { state in
            guard !state.isClosed else { return false }
            state.orders.append(order)
            ccurl_wake(client)
            return true
        }
        if !isTaken, case .begin(let transfer) = order { transfer.end(.failure(Self.closed)) }
    }

    func close() {
        state.withLock { state in
            guard !state.isClosed else { return }
            state.isClosed = true
            ccurl_wake(client)
        }
    }

    /// Drives transfers until the client is closed.
    func run() {
        while true {
            let (orders, isClosed) = state.withLock { state in
                defer { state.orders = [] }
                return (state.orders, state.isClosed)
            }
            for order in orders { perform(order) }
            if isClosed { break }
            ccurl_work(client, Self.slice)
            handles = handles.filter { !$0.value.transfer.isEnded }
        }
        ccurl_close(client)
        for (transfer, _) in handles.values { transfer.end(.failure(Self.closed)) }
        handles = [:]
    }

    private func perform(_ order: Order) {
        switch order {
        case .begin(let transfer): begin(transfer)
        case .cancel(let transfer):
            guard let (_, handle) = handles.removeValue(forKey: ObjectIdentifier(transfer)) else { return }
            ccurl_cancel(client, handle)
            transfer.end(.failure(HTTPFailure(.cancelled, "cancelled")))
        }
    }

    private func begin(_ transfer: CurlTransfer) {
        guard !transfer.isCancelled else {
            return transfer.end(.failure(HTTPFailure(.cancelled, "cancelled")))
        }
        let request = transfer.request
        // It lives in `handles` for as long as libcurl knows it.
        let context = Unmanaged.passUnretained(transfer).toOpaque()
        let handle = request.url.withCString { url in
            withOptionalCString(request.key) { key in
                withOptionalCString(request.authorities) { authorities in
                    withOptionalUTF8(request.body) { body in
                        "application/json".withCString { type in
                            var order = ccurl_request()
                            order.url = url
                            order.body = body.baseAddress
                            order.body_count = body.count
                            if body.baseAddress != nil { order.content_type = type }
                            order.key = key
                            order.ca_file = authorities
                            order.connect_timeout_ms = Self.connectTimeout
                            order.timeout_ms = max(1, Int(request.timeout.seconds * 1_000))
                            return ccurl_begin(client, &order, context)
                        }
                    }
                }
            }
        }
        guard let handle else {
            return transfer.end(.failure(HTTPFailure(.impossible, "libcurl refuses the address '\(request.url)'")))
        }
        handles[ObjectIdentifier(transfer)] = (transfer, handle)
    }
}

private func withOptionalCString<Result>(
    _ text: String?, _ body: (UnsafePointer<CChar>?) -> Result
) -> Result {
    guard let text else { return body(nil) }
    return text.withCString { body($0) }
}

/// The buffer of an empty text is not nil, of none it is.
private func withOptionalUTF8<Result>(
    _ text: String?, _ body: (UnsafeBufferPointer<UInt8>) -> Result
) -> Result {
    guard var text else { return body(UnsafeBufferPointer(start: nil, count: 0)) }
    // One byte more, so that there is an address.
    text += "\0"
    return text.withUTF8 { body(UnsafeBufferPointer(rebasing: $0.dropLast())) }
}

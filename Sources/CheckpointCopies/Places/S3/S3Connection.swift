import CCurl
import Dispatch
import Files
import Foundation
import Hashing
import Locking
import Wording

/// Sends requests to a bucket by libcurl, which signs them.
///
/// It has no thread of its own, as the client of models that servers have: whoever asks waits, and there is one request at
/// a time.
///
/// `@unchecked Sendable`: libcurl's client is used by one thread at a time, under `busy`. Others only wake it, which
/// libcurl allows.
package final class S3Connection: S3Sending, @unchecked Sendable {
    private struct State: Sendable {
        var account: S3Account
        var isStopped = false
    }

    /// Milliseconds that it may take to reach a store, and seconds that a transfer may stand still.
    private static let connectTimeout = 20_000, stall = 120

    private let bucket: String
    private let client: OpaquePointer
    private let busy = NSLock()
    private let state: Locked<State>
    private let reload: @Sendable () -> S3Account?
    private let stopped = DispatchSemaphore(value: 0)

    /// - Parameter reload: finds keys again.
    /// - Throws: `UsageError` where libcurl is missing or too old.
    package init(bucket: String, account: S3Account, reload: @escaping @Sendable () -> S3Account?) throws(UsageError) {
        if let missing = ccurl_missing() { throw UsageError("s3://\(bucket): \(String(cString: missing))") }
        guard ccurl_signs() != 0 else {
            throw UsageError(
                "s3:// needs libcurl 7.88 or newer, as of Debian 12 or Ubuntu 24.04, to build with and to run with; this one "
                    + "is \(String(cString: ccurl_version())): install it, or mount the bucket and give its folder")
        }
        let client = ccurl_open(
            { context, bytes, count in
                guard let context, let bytes else { return 1 }
                let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
                return transfer.receive(UnsafeRawBufferPointer(start: bytes, count: count)) ? 1 : 0
            },
            { context, code, status, _, message in
                guard let context else { return }
                let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
                transfer.finish(code: code, status: status, message: message.map { String(cString: $0) } ?? "")
            })
        guard let client else { throw UsageError("s3://\(bucket): libcurl has no memory") }
        self.bucket = bucket
        self.client = client
        self.reload = reload
        state = Locked(State(account: account))
    }

    deinit { ccurl_close(client) }

    package func send(_ request: S3Request) throws(S3Failure) -> S3Answer {
        busy.lock()
        defer { busy.unlock() }
        let transfer = Transfer(request)
        do throws(FileError) { try begin(transfer) } catch { throw S3Failure("\(error)", isFinal: true) }
        guard transfer.handle != nil else { throw S3Failure("libcurl does not take the request", isFinal: true) }
        while transfer.end == nil {
            if state.withLock({ $0.isStopped }) {
                if let handle = transfer.handle { ccurl_cancel(client, handle) }
                throw S3Failure("it was stopped", isFinal: true)
            }
            ccurl_work(client, 1_000)
        }
        guard let end = transfer.end else { throw S3Failure("it was stopped", isFinal: true) }
        return try end.get()
    }

    private func begin(_ transfer: Transfer) throws(FileError) {
        let request = transfer.request, account = state.withLock { $0.account }
        try transfer.open()
        var lines = request.fields.map { "\($0.name): \($0.value)" } + ["x-amz-content-sha256: \(request.digest)"]
        if let token = account.token { lines.append("x-amz-security-token: \(token)") }
        // Copies of what libcurl reads while it makes the request.
        let texts: [String] = [
            request.url(of: bucket, at: account), request.method.rawValue, "application/octet-stream",
            "aws:amz:\(account.region):s3", account.keyID, account.secret, account.authorities ?? "",
        ]
        let words = texts.map { strdup($0) }, fields = lines.map { strdup($0) }
        defer { for word in words + fields { free(word) } }
        var order = ccurl_request()
        order.url = UnsafePointer(words[0])
        order.method = UnsafePointer(words[1])
        order.signature = UnsafePointer(words[3])
        order.user = UnsafePointer(words[4])
        order.password = UnsafePointer(words[5])
        if account.authorities != nil { order.ca_file = UnsafePointer(words[6]) }
        order.uses_proxy = 1
        order.connect_timeout_ms = Self.connectTimeout
        order.stall_s = Self.stall
        if case .file(_, let offset, let count) = request.body {
            order.content_type = UnsafePointer(words[2])
            order.sends_file = 1
            order.file = transfer.source
            order.file_offset = Int64(offset)
            order.file_count = Int64(count)
        }
        var body: [UInt8] = []
        if case .bytes(let bytes) = request.body {
            order.content_type = UnsafePointer(words[2])
            // One byte more, so that there is an address.
            body = bytes + [0]
        }
        let pointers = fields.map { UnsafePointer<CChar>($0) }
        pointers.withUnsafeBufferPointer { fields in
            body.withUnsafeBufferPointer { body in
                order.headers = fields.baseAddress
                order.header_count = fields.count
                if !body.isEmpty {
                    order.body = body.baseAddress
                    order.body_count = body.count - 1
                }
                // It lives until `send` has ended it.
                transfer.handle = ccurl_begin(client, &order, Unmanaged.passUnretained(transfer).toOpaque())
            }
        }
    }

    package func pause(_ duration: Duration) {
        guard !state.withLock({ $0.isStopped }) else { return }
        if stopped.wait(timeout: .now() + .milliseconds(duration.milliseconds)) == .success { stopped.signal() }
    }

    package func renew() -> Bool {
        guard let account = reload() else { return false }
        return state.withLock { state in
            defer { state.account = account }
            return state.account != account
        }
    }

    package func stop() {
        state.withLock { $0.isStopped = true }
        stopped.signal()
        ccurl_wake(client)
    }
}

/// A request under way, of one thread.
private final class Transfer {
    let request: S3Request
    var handle: OpaquePointer?
    private(set) var end: Result<S3Answer, S3Failure>?
    private var body: [UInt8] = []
    private var hash = SHA256()
    private var received: UInt64 = 0
    private var failure: String?
    private(set) var source: Int32 = -1
    private var target: Int32 = -1

    /// Most bytes that are kept of a refusal.
    private static let refusalLimit = 1 << 16

    init(_ request: S3Request) { self.request = request }

    deinit { for file in [source, target] where file >= 0 { close(file) } }

    /// Opens the files that are sent and received.
    func open() throws(FileError) {
        if case .file(let path, _, _) = request.body {
            source = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
            guard source >= 0 else { throw FileError(path, .read, code: errno) }
        }
        if case .file(let path) = request.sink {
            target = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o666)
            guard target >= 0 else { throw FileError(path, .write, code: errno) }
        }
    }

    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let handle, (200..<300).contains(ccurl_status(handle)) else {
            if body.count + bytes.count <= Self.refusalLimit { body += bytes }
            return true
        }
        received += UInt64(bytes.count)
        guard received <= request.limit else {
            failure = "the answer has more than \(request.limit) bytes"
            return false
        }
        switch request.sink {
        case .memory: body += bytes
        case .digest: hash.update(Array(bytes))
        case .file(let path):
            guard writeAll(Array(bytes), to: target) else {
                failure = "\(path): \(systemMessage())"
                return false
            }
        }
        return true
    }

    func finish(code: Int32, status: Int, message: String) {
        guard code == 0, let handle else {
            // What is received and cannot be kept would not be so another time.
            let isFinal = failure != nil || ccurl_is_final(code) != 0
            end = .failure(S3Failure(failure ?? message, isFinal: isFinal))
            return
        }
        func field(_ name: String) -> String? { ccurl_header(handle, name).map { String(cString: $0) } }
        var answer = S3Answer(status: status, body: body)
        if request.sink == .digest { answer.digest = hash.hexDigest }
        answer.etag = field("etag")
        answer.checksum = field("x-amz-checksum-sha256")
        answer.region = field("x-amz-bucket-region")
        end = .success(answer)
    }
}

import Foundation
import Locking

/// An HTTP server in this process that answers as a test wants: well, slowly, never, half, or with nonsense.
///
/// One thread accepts, one more serves each connection, for one request after the other.
final class FakeServer: Sendable {
    struct Request: Sendable {
        var method: String
        var path: String
        var headers: [String: String]
        var body: [UInt8]
    }

    enum Reply: Sendable {
        /// Status and body.
        case answer(Int, String)
        /// The same, after a while.
        case late(Duration, Int, String)
        /// Says that this many bytes will come, sends the text, and closes.
        case short(announced: Int, String)
        /// Closes without a word.
        case drop
        /// Never answers.
        case hang
    }

    let port: UInt16
    private let listener: Int32
    private let handler: @Sendable (Request) -> Reply
    private let state = Locked(State())

    private struct State: Sendable {
        var requests: [Request] = []
        var underWay = 0
        var mostUnderWay = 0
        var connections: [Int32] = []
        var isClosed = false
    }

    var url: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { state.withLock { $0.requests } }
    /// The most requests that were there at once.
    var mostUnderWay: Int { state.withLock { $0.mostUnderWay } }

    init(port: UInt16 = 0, _ handler: @escaping @Sendable (Request) -> Reply) throws {
        self.handler = handler
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var one: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 512) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard isBound else {
            Foundation.close(listener)
            throw NSError(domain: NSPOSIXErrorDomain, code: Int(errno))
        }
        self.port = UInt16(bigEndian: address.sin_port)
        let thread = Thread { [self] in accept() }
        thread.start()
    }

    /// Stops listening and breaks every connection, as a server does that is killed.
    func close() {
        state.withLock { state in
            guard !state.isClosed else { return }
            state.isClosed = true
            shutdown(listener, Int32(SHUT_RDWR))
            for connection in state.connections { shutdown(connection, Int32(SHUT_RDWR)) }
        }
    }

    private func accept() {
        while true {
            let connection = Foundation.accept(listener, nil, nil)
            let isOpen = state.withLock { state in
                if connection >= 0 { state.connections.append(connection) }
                return !state.isClosed
            }
            guard isOpen, connection >= 0 else {
                if connection >= 0 { Foundation.close(connection) }
                Foundation.close(listener)
                return
            }
            let thread = Thread { [self] in serve(connection) }
            thread.start()
        }
    }

    private func serve(_ connection: Int32) {
        defer {
            state.withLock { state in state.connections.removeAll { $0 == connection } }
            Foundation.close(connection)
        }
        var buffer: [UInt8] = []
        while let request = read(connection, &buffer) {
            state.withLock { state in
                state.requests.append(request)
                state.underWay += 1
                state.mostUnderWay = max(state.mostUnderWay, state.underWay)
            }
            let goesOn = reply(handler(request), connection)
            state.withLock { $0.underWay -= 1 }
            guard goesOn else { return }
        }
    }

    private func read(_ connection: Int32, _ buffer: inout [UInt8]) -> Request? {
        let end = Array("\r\n\r\n".utf8)
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        func more() -> Bool {
            let count = recv(connection, &chunk, chunk.count, 0)
            if count > 0 { buffer += chunk[..<count] }
            return count > 0
        }
        var head: Int?
        while head == nil {
            head = buffer.indices.first { buffer[$0...].starts(with: end) }
            if head == nil, !more() { return nil }
        }
        guard let head else { return nil }
        let lines = String(decoding: buffer[..<head], as: UTF8.self).components(separatedBy: "\r\n")
        let words = lines[0].split(separator: " ").map(String.init)
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 {
                headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
            }
        }
        let count = headers["content-length"].flatMap { Int($0) } ?? 0
        while buffer.count < head + 4 + count { guard more() else { return nil } }
        let body = Array(buffer[(head + 4)..<(head + 4 + count)])
        buffer.removeFirst(head + 4 + count)
        return Request(method: words[0], path: words[1], headers: headers, body: body)
    }

    /// - Returns: whether the connection goes on.
    private func reply(_ reply: Reply, _ connection: Int32) -> Bool {
        switch reply {
        case .answer(let status, let body): return send(status, body, count: body.utf8.count, connection)
        case .late(let time, let status, let body):
            Thread.sleep(forTimeInterval: Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18)
            return send(status, body, count: body.utf8.count, connection)
        case .short(let count, let body):
            _ = send(200, body, count: count, connection)
            return false
        case .drop: return false
        case .hang:
            var byte: UInt8 = 0
            // It waits until the other side goes.
            return recv(connection, &byte, 1, 0) > 0
        }
    }

    private func send(_ status: Int, _ body: String, count: Int, _ connection: Int32) -> Bool {
        let head = "HTTP/1.1 \(status) Whatever\r\nContent-Type: application/json\r\nContent-Length: \(count)\r\n\r\n"
        let bytes = Array((head + body).utf8)
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Foundation.send(connection, $0.baseAddress! + done, $0.count - done, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }
}

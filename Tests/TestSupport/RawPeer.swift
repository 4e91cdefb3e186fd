import Foundation
import Locking

/// A TCP connection that says whatever a test wants, byte by byte.
package final class RawPeer: Sendable {
    package let descriptor: Int32

    /// - Parameter endpoint: `tcp://127.0.0.1:PORT`.
    package init(_ endpoint: String) throws {
        guard let port = endpoint.split(separator: ":").last.flatMap({ UInt16($0) }) else {
            throw TestFileError(path: endpoint, code: EINVAL)
        }
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw TestFileError(path: endpoint, code: errno) }
        // No test hangs for an answer that does not come; beside tests that compute one can take long.
        var time = timeval(tv_sec: 150, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// Sends everything, on a thread that may block; false when the other side has gone.
    @discardableResult
    package func send(_ bytes: [UInt8]) async -> Bool { await onThread("raw-peer") { self.sendNow(bytes) } }

    private func sendNow(_ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress! + done, $0.count - done, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    /// Whether anything comes after the handshake.
    package func waitForBytes() async -> Bool { await onThread("raw-peer") { self.readNow(1) } }

    /// Reads so many bytes; false when the other side goes first.
    private func readNow(_ count: Int) -> Bool {
        var buffer = [UInt8](repeating: 0, count: count)
        var left = count
        while left > 0 {
            let count = read(descriptor, &buffer, left)
            guard count > 0 else { return false }
            left -= count
        }
        return true
    }

    /// Reads until the other side closes, which it is to do; false when it does not.
    package func waitForEnd() async -> Bool { await onThread("raw-peer") { self.readToEnd() } }

    private func readToEnd() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count == 0 { return true }
            if count < 0 { return errno == ECONNRESET }
        }
    }

    /// Handshake without encryption: greeting, what a DEALER is ready with, and the wait until a ROUTER is ready too,
    /// before which libzmq takes no message.
    ///
    /// All on one thread: beside tests that compute, a task that waits gets its turn when the learner's patience is over.
    package func shakeHands(identity: String = "") async {
        var body = Array("\u{5}READY".utf8)
        for (name, value) in [("Socket-Type", "DEALER"), ("Identity", identity)] {
            body +=
                [UInt8(name.utf8.count)] + Array(name.utf8) + [0, 0, 0, UInt8(value.utf8.count)] + Array(value.utf8)
        }
        let bytes = Self.greeting + [0x04, UInt8(body.count)] + body
        await onThread("raw-peer") { _ = self.sendNow(bytes) && self.readNow(Self.routersHandshake) }
    }

    /// Bytes of a ROUTER's greeting and of what it is ready with: its type and an empty identity.
    private static let routersHandshake = 64 + 2 + 6 + (1 + 11 + 4 + 6) + (1 + 8 + 4)

    /// ZMTP 3.0 without encryption (RFC 23).
    package static let greeting: [UInt8] =
        [0xff] + [UInt8](repeating: 0, count: 8) + [0x7f, 3, 0] + Array("NULL".utf8)
        + [UInt8](repeating: 0, count: 16 + 32)

    /// A frame as it is on the wire.
    package static func frame(_ bytes: [UInt8], more: Bool) -> [UInt8] {
        if bytes.count < 256 { return [more ? 1 : 0, UInt8(bytes.count)] + bytes }
        return header(count: UInt64(bytes.count), more: more) + bytes
    }

    /// The header of a long frame.
    package static func header(count: UInt64, more: Bool = false) -> [UInt8] {
        [more ? 3 : 2] + withUnsafeBytes(of: count.bigEndian) { Array($0) }
    }
}

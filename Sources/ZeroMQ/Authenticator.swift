internal import CZeroMQ

/// Decides which CURVE clients may connect: the handler of ZAP (RFC 27) for the servers of one context.
///
/// Make it before a server binds, and close it after the server: libzmq takes a missing handler for consent, and then
/// frames have no `user`. Use it from one thread.
package final class Authenticator {
    /// A client at the door.
    package struct Request: Sendable, Equatable {
        /// Where it connects from, without a port.
        package var address: String
        /// What it has proved to hold the secret half of.
        package var key: CurveKey
    }

    /// Readable when `answer` has something to do.
    package let socket: Socket

    package init(_ context: Context) throws(ZeroMQError) {
        socket = try Socket(context, .reply)
        try socket.bind("inproc://zeromq.zap.01")
    }

    package func close() { socket.close() }

    /// Answers every waiting request. A client that is let in is known by its key from then on: see
    /// `SocketFrame.user`.
    package func answer(_ admits: (Request) -> Bool) throws(ZeroMQError) {
        while let frames = try socket.tryReceive(keeping: 8) {
            let request = frames.map(\.array)
            let admitted = Self.request(request).flatMap { admits($0) ? $0 : nil }
            let (status, text) = admitted == nil ? ("400", "unknown key") : ("200", "OK")
            try socket.send([
                Array("1.0".utf8), request.count > 1 ? request[1] : [], Array(status.utf8), Array(text.utf8),
                Array((admitted?.key.text ?? "").utf8), [],
            ])
        }
    }

    /// Version, request id, domain, address, routing id, mechanism, key; nil for anything but a CURVE client.
    private static func request(_ frames: [[UInt8]]) -> Request? {
        guard frames.count == 7, frames[0] == Array("1.0".utf8), frames[5] == Array("CURVE".utf8),
            let key = CurveKey(bytes: frames[6])
        else { return nil }
        return Request(address: String(decoding: frames[3], as: UTF8.self), key: key)
    }
}

extension SocketFrame {
    /// The key that an `Authenticator` admitted the sender's connection with; nil on a socket without one.
    package var user: String? { property("User-Id").flatMap { $0.isEmpty ? nil : $0 } }

    /// The descriptor of the connection that the frame came over; nil for in-process ones.
    package var descriptor: Int32? {
        // Deprecated in libzmq for fear of reuse; it is in the metadata for as long as there are any.
        let descriptor = zmq_msg_get(message, ZMQ_SRCFD)
        return descriptor < 0 ? nil : descriptor
    }

    private func property(_ name: String) -> String? {
        zmq_msg_gets(message, name).map { String(cString: $0) }
    }
}

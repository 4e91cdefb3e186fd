import DequeModule
import Wire
import ZeroMQ

/// An encoded message on its way out.
struct OutgoingMessage: Sendable {
    var peer: PeerID
    var message: Message
    var frames: [Frame]

    var byteCount: Int { frames.reduce(0) { $0 + $1.count } }
}

/// Messages waiting for one peer.
struct OutgoingQueue {
    private var messages: Deque<OutgoingMessage> = []
    private(set) var byteCount = 0

    var first: OutgoingMessage? { messages.first }
    var count: Int { messages.count }
    var isEmpty: Bool { messages.isEmpty }

    mutating func append(_ message: OutgoingMessage) {
        byteCount += message.byteCount
        messages.append(message)
    }

    mutating func removeFirst() { byteCount -= messages.removeFirst().byteCount }
}

extension Frame {
    /// Shared storage of some size is handed to libzmq as it is; all else is copied.
    func socketFrame() throws(ZeroMQError) -> SocketFrame {
        guard let storage, count >= 4 << 10 else {
            return try withUnsafeBytes { bytes throws(ZeroMQError) in try SocketFrame(copying: bytes) }
        }
        // The pointer outlives the closure because libzmq keeps the storage alive.
        let bytes = withUnsafeBytes { $0 }
        return try SocketFrame(referencing: bytes, owner: storage)
    }
}

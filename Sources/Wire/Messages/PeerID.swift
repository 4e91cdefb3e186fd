/// Names the other end of a connection: the ZeroMQ identity of a member with the key it has proved to hold, or
/// `learner`.
package struct PeerID: Hashable, Sendable {
    package let bytes: [UInt8]
    /// The public key of its connection; nil without encryption.
    package let key: String?

    package init(bytes: [UInt8], key: String? = nil) {
        self.bytes = bytes
        self.key = key
    }

    /// The peer that calls itself `name`: 1 ... 255 UTF-8 bytes.
    package init(_ name: String) { self.init(bytes: Array(name.utf8)) }

    /// The learner, as its members see it. No member can have this name: it is empty.
    package static let learner = PeerID(bytes: [])
}

extension PeerID: CustomStringConvertible {
    /// The name, or the bytes in hexadecimal when they are not printable ASCII.
    package var description: String {
        if bytes.isEmpty { return "learner" }
        if bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) { return String(decoding: bytes, as: UTF8.self) }
        let digits = Array("0123456789abcdef")
        return "0x" + String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}

extension PeerID {
    // The bytes at once: an array feeds them one by one.
    package func hash(into hasher: inout Hasher) {
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        hasher.combine(key)
    }
}

internal import CZeroMQ

/// A public CurveZMQ key: 32 bytes, written as 40 Z85 characters.
package struct CurveKey: Sendable, Hashable, CustomStringConvertible {
    package let text: String

    /// A key from its text; nil unless that is 40 Z85 characters that decode.
    package init?(_ text: String) {
        guard z85Decode(text) != nil else { return nil }
        self.text = text
    }

    /// A key from its bytes; nil unless there are 32 of them.
    package init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        var text = [CChar](repeating: 0, count: 41)
        guard zmq_z85_encode(&text, bytes, bytes.count) != nil else { return nil }
        self.text = string(text)
    }

    var bytes: [UInt8] { z85Decode(text) ?? [] }

    package var description: String { text }
}

/// A secret CurveZMQ key. Printing it, or anything that holds it, shows nothing of it.
package struct CurveSecretKey: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The key in Z85, to be written into its own file and nowhere else.
    package let text: String

    /// A key from its text; nil unless that is 40 Z85 characters that decode.
    package init?(_ text: String) {
        guard z85Decode(text) != nil else { return nil }
        self.text = text
    }

    /// The other half.
    package var publicKey: CurveKey? {
        var publicText = [CChar](repeating: 0, count: 41)
        guard zmq_curve_public(&publicText, text) == 0 else { return nil }
        return CurveKey(string(publicText))
    }

    var bytes: [UInt8] { z85Decode(text) ?? [] }

    package var description: String { "(secret)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// A CurveZMQ identity: the public half may be told to anyone.
package struct CurveKeyPair: Sendable {
    package let publicKey: CurveKey
    package let secretKey: CurveSecretKey

    package init(publicKey: CurveKey, secretKey: CurveSecretKey) {
        self.publicKey = publicKey
        self.secretKey = secretKey
    }

    /// A new random pair. Throws when libzmq was built without CURVE.
    package static func generate() throws(ZeroMQError) -> CurveKeyPair {
        var publicText = [CChar](repeating: 0, count: 41)
        var secretText = [CChar](repeating: 0, count: 41)
        guard zmq_curve_keypair(&publicText, &secretText) == 0,
            let publicKey = CurveKey(string(publicText)), let secretKey = CurveSecretKey(string(secretText))
        else { throw .last("generating a CURVE key pair") }
        return CurveKeyPair(publicKey: publicKey, secretKey: secretKey)
    }
}

private func z85Decode(_ text: String) -> [UInt8]? {
    guard text.utf8.count == 40 else { return nil }
    var bytes = [UInt8](repeating: 0, count: 32)
    return zmq_z85_decode(&bytes, text) == nil ? nil : bytes
}

private func string(_ text: [CChar]) -> String {
    String(decoding: text.prefix(40).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

extension Socket {
    /// Encrypts, and proves itself to clients, with `keys`. Set before `bind`.
    package func setCurveServer(_ keys: CurveKeyPair) throws(ZeroMQError) {
        var on: Int32 = 1
        let status = withHandle { zmq_setsockopt($0, ZMQ_CURVE_SERVER, &on, MemoryLayout<Int32>.size) }
        guard status == 0 else { throw .last("making the socket a CURVE server") }
        try set(ZMQ_CURVE_SECRETKEY, keys.secretKey.bytes, "CURVE secret key")
    }

    /// Encrypts with `keys`, to the server that owns `server` only. Set before `connect`.
    package func setCurveClient(_ keys: CurveKeyPair, server: CurveKey) throws(ZeroMQError) {
        try set(ZMQ_CURVE_SERVERKEY, server.bytes, "CURVE server key")
        try set(ZMQ_CURVE_PUBLICKEY, keys.publicKey.bytes, "CURVE public key")
        try set(ZMQ_CURVE_SECRETKEY, keys.secretKey.bytes, "CURVE secret key")
    }
}

internal import CZeroMQ

/// A CurveZMQ key: 32 bytes, written as 40 Z85 characters.
public struct CurveKey: Sendable, Hashable {
    public let text: String

    /// Nil unless `text` is 40 Z85 characters that decode.
    public init?(_ text: String) {
        guard text.utf8.count == 40 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 32)
        guard zmq_z85_decode(&bytes, text) != nil else { return nil }
        self.text = text
    }

    var bytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 32)
        zmq_z85_decode(&bytes, text)
        return bytes
    }
}

/// A CurveZMQ identity: the public half may be told to anyone.
public struct CurveKeyPair: Sendable {
    public let publicKey: CurveKey
    public let secretKey: CurveKey

    public init(publicKey: CurveKey, secretKey: CurveKey) {
        self.publicKey = publicKey
        self.secretKey = secretKey
    }

    /// A new random pair. Throws when libzmq was built without CURVE.
    public static func generate() throws(ZeroMQError) -> CurveKeyPair {
        var publicText = [CChar](repeating: 0, count: 41)
        var secretText = [CChar](repeating: 0, count: 41)
        guard zmq_curve_keypair(&publicText, &secretText) == 0 else { throw .last("generating a CURVE key pair") }
        return CurveKeyPair(publicKey: CurveKey(string(publicText))!, secretKey: CurveKey(string(secretText))!)
    }

    private static func string(_ text: [CChar]) -> String {
        String(decoding: text.prefix(40).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension Socket {
    /// Encrypts, and proves itself to clients, with `keys`. Set before `bind`.
    public func setCurveServer(_ keys: CurveKeyPair) throws(ZeroMQError) {
        var on: Int32 = 1
        let status = withHandle { zmq_setsockopt($0, ZMQ_CURVE_SERVER, &on, MemoryLayout<Int32>.size) }
        guard status == 0 else { throw .last("making the socket a CURVE server") }
        try set(ZMQ_CURVE_SECRETKEY, keys.secretKey.bytes, "CURVE secret key")
    }

    /// Encrypts with `keys`, to the server that owns `server` only. Set before `connect`.
    public func setCurveClient(_ keys: CurveKeyPair, server: CurveKey) throws(ZeroMQError) {
        try set(ZMQ_CURVE_SERVERKEY, server.bytes, "CURVE server key")
        try set(ZMQ_CURVE_PUBLICKEY, keys.publicKey.bytes, "CURVE public key")
        try set(ZMQ_CURVE_SECRETKEY, keys.secretKey.bytes, "CURVE secret key")
    }
}

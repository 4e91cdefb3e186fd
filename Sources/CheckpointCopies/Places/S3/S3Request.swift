/// One request to a store, about its bucket or an object in it.
package struct S3Request: Sendable {
    package enum Method: String, Sendable {
        case get = "GET"
        case put = "PUT"
        case post = "POST"
        case delete = "DELETE"
    }

    /// What is sent.
    package enum Body: Sendable, Equatable {
        case none
        case bytes([UInt8])
        case file(path: String, offset: UInt64, count: UInt64)
    }

    /// Where the body of an answer goes that is no refusal.
    package enum Sink: Sendable, Equatable {
        case memory
        /// A file that is made anew.
        case file(String)
        /// Nowhere: its SHA-256 is wanted.
        case digest
    }

    package var method: Method
    /// The object's; nil: the request is about the bucket.
    package var key: String?
    /// In the order of their names, as a signature wants them.
    package var query: [(name: String, value: String)] = []
    /// Further fields of the head.
    package var fields: [(name: String, value: String)] = []
    package var body = Body.none
    /// SHA-256 of what is sent, in hexadecimal digits.
    package var digest = Self.emptyDigest
    package var sink = Sink.memory
    /// The most bytes of an answer.
    package var limit: UInt64 = 1 << 22

    package static let emptyDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    package init(_ method: Method, key: String? = nil, query: [(name: String, value: String)] = []) {
        self.method = method
        self.key = key
        self.query = query
    }

    /// The address that it is sent to.
    package func url(of bucket: String, at account: S3Account) -> String {
        var url: String
        if let endpoint = account.endpoint {
            url = "\(endpoint)/\(bucket)"
        } else {
            let host = "s3.\(account.region).amazonaws.com\(account.region.hasPrefix("cn-") ? ".cn" : "")"
            // No certificate is good for a bucket's name with a dot in it.
            url = bucket.contains(".") ? "https://\(host)/\(bucket)" : "https://\(bucket).\(host)"
        }
        url += "/" + (key.map { Self.encoded($0, keepsSlash: true) } ?? "")
        if !query.isEmpty {
            let pairs = query.map { "\(Self.encoded($0.name))=\(Self.encoded($0.value))" }
            url += "?" + pairs.joined(separator: "&")
        }
        return url
    }

    /// A text in an address, in the one form that a signature has it in.
    private static func encoded(_ text: String, keepsSlash: Bool = false) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            case UInt8(ascii: "/") where keepsSlash: bytes.append(byte)
            default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A store's answer, whatever its status.
package struct S3Answer: Sendable, Equatable {
    package var status: Int
    /// What was to stay in memory, or a refusal.
    package var body: [UInt8] = []
    /// SHA-256 of the body where that was wanted.
    package var digest: String?
    package var etag: String?
    /// What the store has computed of what it has received, in base 64; nil: it does not say so.
    package var checksum: String?
    /// Where the bucket is, when it is elsewhere.
    package var region: String?

    package init(status: Int, body: [UInt8] = []) {
        self.status = status
        self.body = body
    }
}

/// Why there is no answer, in a few words.
package struct S3Failure: Error, Sendable, Equatable {
    package var message: String
    /// Whether it would be so again.
    package var isFinal: Bool

    package init(_ message: String, isFinal: Bool = false) {
        self.message = message
        self.isFinal = isFinal
    }
}

/// Sends requests to one bucket, one at a time; behind it is a network, or a test.
package protocol S3Sending: Sendable {
    func send(_ request: S3Request) throws(S3Failure) -> S3Answer
    /// Waits, unless it is stopped.
    func pause(_ duration: Duration)
    /// Looks for other keys, since those of before have expired; false: there are none.
    func renew() -> Bool
    /// Ends what is under way, from any thread, and lets nothing begin any more.
    func stop()
}

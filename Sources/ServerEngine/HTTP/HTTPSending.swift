/// Sends requests; behind it is a network, or a test.
package protocol HTTPSending: Sendable {
    /// The answer, whatever its status; cancelling the task ends the request.
    func send(_ request: HTTPRequest) async throws(HTTPFailure) -> HTTPAnswer
}

/// One request over HTTP: a GET, or a POST of JSON.
package struct HTTPRequest: Sendable, Equatable {
    package var url: String
    /// What is posted; nil: the request is a GET.
    package var body: String?
    /// The key that is sent as a bearer's; nil: none is.
    package var key: String?
    /// PEM file of the authorities that are trusted; nil: the system's.
    package var authorities: String?
    /// The longest time that the whole exchange may take.
    package var timeout: Duration
    /// Most bytes that are taken of the answer.
    package var answerLimit: Int

    package init(
        url: String, body: String? = nil, key: String? = nil, authorities: String? = nil, timeout: Duration,
        answerLimit: Int
    ) {
        self.url = url
        self.body = body
        self.key = key
        self.authorities = authorities
        self.timeout = timeout
        self.answerLimit = answerLimit
    }
}

/// A server's answer, whatever its status.
package struct HTTPAnswer: Sendable, Equatable {
    package var status: Int
    package var body: [UInt8]
    /// Whether it is the first over its connection: nobody knows whether the server is still the one of before.
    package var isFirst: Bool

    package init(status: Int, body: [UInt8], isFirst: Bool = false) {
        self.status = status
        self.body = body
        self.isFirst = isFirst
    }
}

/// Why there is no answer, in one line.
package struct HTTPFailure: Error, CustomStringConvertible, Sendable, Equatable {
    /// What has kept the answer away.
    package enum Kind: Sendable, Equatable {
        /// Nobody listens, or the connection broke.
        case broken
        case timedOut
        /// The answer is longer than it can be.
        case tooLong
        /// The task was cancelled, or the client is no more.
        case cancelled
        /// There can be no client.
        case impossible
    }

    package var kind: Kind
    package var description: String

    package init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}

import Engines

/// How requests reach a server: the client, the key, the authorities.
package struct ServerLine: Sendable {
    package let http: any HTTPSending
    package let key: String?
    package let authorities: String?
    package let timeout: Duration

    package init(http: any HTTPSending, key: String? = nil, authorities: String? = nil, timeout: Duration) {
        self.http = http
        self.key = key
        self.authorities = authorities
        self.timeout = timeout
    }

    package func address(_ url: String) -> ServerAddress { ServerAddress(url: url, line: self) }
}

/// One server, and how it is reached.
package struct ServerAddress: Sendable {
    package let url: String
    package let line: ServerLine

    /// Asks once.
    /// - Throws: `CallFailure`; `CancellationError`.
    package func ask<Value>(
        _ question: ServerCaller.Question<Value>, timeout: Duration? = nil
    ) async throws -> Value {
        try await askNoting(question, timeout: timeout).value
    }

    /// Asks once, and tells whether the answer is the first over its connection.
    func askNoting<Value>(
        _ question: ServerCaller.Question<Value>, timeout: Duration? = nil
    ) async throws -> (value: Value, isFirst: Bool) {
        let request = question.request
        // A POST without a body of its own has an empty object: some servers want one.
        let body = request.method == .get ? nil : request.body ?? "{}"
        let answer: HTTPAnswer
        do {
            answer = try await line.http.send(
                HTTPRequest(
                    url: url + request.path, body: body, key: line.key, authorities: line.authorities,
                    timeout: timeout ?? line.timeout, answerLimit: question.answerLimit))
        } catch {
            switch error.kind {
            case .cancelled: throw CancellationError()
            case .impossible: throw CallFailure(.refused, error.description)
            case .tooLong: throw CallFailure(.flaw, "\(request.path): \(error)")
            case .broken, .timedOut: throw CallFailure(.unreachable, error.description)
            }
        }
        guard (200..<300).contains(answer.status) else { throw CallFailure(answer, to: request) }
        do {
            return (try question.read(answer.body), answer.isFirst)
        } catch {
            throw CallFailure(.flaw, "\(request.path): \(error)")
        }
    }

    /// Asks for something to be done.
    package func perform(_ request: ServerRequest) async throws {
        try await ask(.init(request) { body throws(AnswerFlaw) in try DoneAnswer.check(body) })
    }
}

/// Why a server has not answered as it should.
package struct CallFailure: Error, CustomStringConvertible, Sendable, Equatable {
    /// Whether it is worth asking again.
    package enum Kind: Sendable, Equatable {
        /// Nobody answers, or only that the server is not able to.
        case unreachable
        /// The answer is wrong.
        case flaw
        /// The server will not do what is asked, however often.
        case refused
    }

    package var kind: Kind
    package var description: String
    /// HTTP's; nil where there is no answer, or a good one.
    package var status: Int?

    package init(_ kind: Kind, _ description: String, status: Int? = nil) {
        self.kind = kind
        self.description = description
        self.status = status
    }

    /// What an answer that is not a good one says.
    init(_ answer: HTTPAnswer, to request: ServerRequest) {
        // An error page of a proxy may be long, and steer a terminal.
        let text = String(decoding: answer.body.prefix(2_000), as: UTF8.self)
        let said = ErrorAnswer.message(in: answer.body) ?? text
        let line = said.split(whereSeparator: \.isWhitespace).joined(separator: " ").prefix(300)
        let about = "\(request.path) is answered with \(answer.status)" + (line.isEmpty ? "" : ": \(line)")
        switch answer.status {
        case 400, 413, 422: self.init(.refused, about, status: answer.status)
        case 401, 403: self.init(.unreachable, about + " (key_file has the server's key)", status: answer.status)
        default: self.init(.unreachable, about, status: answer.status)
        }
    }

    /// Whether it may be gone at another try, or another server.
    package var passes: Bool { kind != .refused }
}

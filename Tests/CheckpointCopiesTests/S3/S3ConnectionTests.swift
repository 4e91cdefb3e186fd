import CheckpointCopies
import Glibc
import Locking
import TestSupport
import Testing

/// Requests to a store over a real connection.
@Suite(.timeLimit(.minutes(5))) struct S3ConnectionTests {
    /// A port of this machine, and who comes there.
    private final class Listener: Sendable {
        let descriptor: Int32
        let port: UInt16

        init() throws {
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let (socket, length) = (descriptor, size)
            let bound = withUnsafeMutableBytes(of: &address) { bytes in
                let pointer = bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self)
                return bind(socket, pointer, length) == 0 && getsockname(socket, pointer, &size) == 0
            }
            port = UInt16(bigEndian: address.sin_port)
            try #require(bound && listen(descriptor, 4) == 0)
        }

        deinit { close(descriptor) }

        /// Takes a request that ends so, and answers it; an empty answer: it waits.
        /// - Returns: the request.
        func answer(_ end: String, _ answer: String) -> String {
            let peer = accept(descriptor, nil, nil)
            var bytes: [UInt8] = [], piece = [UInt8](repeating: 0, count: 1 << 16)
            while !String(decoding: bytes, as: UTF8.self).hasSuffix(end) {
                let count = read(peer, &piece, piece.count)
                guard count > 0 else { break }
                bytes += piece[..<count]
            }
            if !answer.isEmpty {
                _ = answer.withCString { write(peer, $0, strlen($0)) }
                close(peer)
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    private let listener: Listener
    private let connection: S3Connection

    init() throws {
        let listener = try Listener()
        let account = try S3Account(
            environment: [
                "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_SESSION_TOKEN": "t/+=",
                "AWS_ENDPOINT_URL": "http://127.0.0.1:\(listener.port)", "AWS_REGION": "eu-west-1",
            ], read: { _ in nil })
        self.listener = listener
        connection = try S3Connection(bucket: "bucket", account: account, reload: { nil })
    }

    private func send(
        _ request: S3Request, whichEnds end: String = "\r\n\r\n", _ answer: String
    ) async -> (head: String, result: Result<S3Answer, S3Failure>) {
        async let head = onThread("peer") { [listener] in listener.answer(end, answer) }
        let result = await onThread("client") { [connection] in
            Result { () throws(S3Failure) in try connection.send(request) }
        }
        return (await head, result)
    }

    @Test func aRequestIsSignedAndItsSecretStaysHere() async throws {
        let (head, result) = await send(
            S3Request(.get, key: "a/b", query: [("list-type", "2")]),
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"t\"\r\nx-amz-checksum-sha256: c=\r\n\r\nabc")
        #expect(head.hasPrefix("GET /bucket/a/b?list-type=2 HTTP/1.1\r\n"))
        #expect(head.contains("Credential=AKID/") && head.contains("/eu-west-1/s3/aws4_request"))
        #expect(head.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"))
        #expect(head.contains("x-amz-content-sha256: \(S3Request.emptyDigest)\r\n"))
        #expect(head.contains("x-amz-security-token: t/+=\r\n") && !head.contains("s3cret"))
        let answer = try result.get()
        #expect(answer.status == 200 && answer.body == Array("abc".utf8))
        #expect(answer.etag == "\"t\"" && answer.checksum == "c=")
    }

    @Test func aPartOfAFileIsSent() async throws {
        let temporary = try TemporaryFolder()
        try writeText("0123456789", to: "\(temporary.path)/file")
        var request = S3Request(.put, key: "a")
        request.body = .file(path: "\(temporary.path)/file", offset: 3, count: 4)
        let (head, result) = await send(
            request, whichEnds: "\r\n\r\n3456", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(head.hasPrefix("PUT /bucket/a HTTP/1.1\r\n") && head.contains("Content-Length: 4\r\n"))
        #expect(try result.get().status == 200)
        // A file that is shorter than it was is not taken for whole.
        request.body = .file(path: "\(temporary.path)/file", offset: 8, count: 4)
        #expect(throws: S3Failure.self) { try connection.send(request) }
        request.body = .file(path: "\(temporary.path)/none", offset: 0, count: 1)
        #expect(throws: S3Failure.self) { try connection.send(request) }
    }

    @Test func anAnswerThatIsTooLongEnds() async throws {
        let temporary = try TemporaryFolder()
        var request = S3Request(.get, key: "a")
        request.sink = .file("\(temporary.path)/file")
        request.limit = 2
        let long = await send(request, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
        #expect(long.result == .failure(S3Failure("the answer has more than 2 bytes", isFinal: true)))
        request.limit = 3
        #expect(try await send(request, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").result.get().body.isEmpty)
        #expect(readText("\(temporary.path)/file") == "abc")
        // A refusal is no content.
        let refused = try await send(request, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone").result.get()
        #expect(refused.status == 404 && refused.body == Array("none".utf8))
        #expect(readText("\(temporary.path)/file") == "")
        let cut = await send(request, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab")
        guard case .failure(let failure) = cut.result else {
            Issue.record("an answer that is cut off is taken for whole")
            return
        }
        #expect(!failure.isFinal)
    }

    @Test func aStopEndsWhatIsUnderWay() async throws {
        async let result = onThread("client") { [connection] in
            Result { () throws(S3Failure) in try connection.send(S3Request(.get, key: "a")) }
        }
        let head = await onThread("peer") { [listener] in listener.answer("\r\n\r\n", "") }
        #expect(head.hasPrefix("GET"))
        connection.stop()
        #expect(await result == .failure(S3Failure("it was stopped", isFinal: true)))
        // It does not wait either.
        connection.pause(.seconds(100_000))
    }
}

import Foundation
import Locking
import ServerEngine
import Testing

/// The client against a server that does everything wrong that a server can.
@Suite(.timeLimit(.minutes(3))) struct HTTPTests {
    private func request(
        _ url: String, body: String? = nil, key: String? = nil, timeout: Duration = .seconds(20), limit: Int = 1000
    ) -> HTTPRequest {
        HTTPRequest(url: url, body: body, key: key, timeout: timeout, answerLimit: limit)
    }

    @Test func postsJSONWithTheKeyAndGetsWithoutABody() async throws {
        let server = try FakeServer { .answer($0.method == "POST" ? 200 : 404, "{\"n\": \($0.body.count)}") }
        defer { server.close() }
        let client = try CurlClient()
        let posted = try await client.send(request(server.url + "/a?b=c", body: "{\"x\": \"é\"}", key: "secret"))
        #expect(posted == HTTPAnswer(status: 200, body: Array("{\"n\": 11}".utf8), isFirst: true))
        let got = try await client.send(request(server.url + "/d"))
        #expect(got.status == 404)
        #expect(!got.isFirst, "the connection is kept")
        let seen = server.requests
        #expect(seen.map(\.path) == ["/a?b=c", "/d"])
        #expect(seen[0].headers["authorization"] == "Bearer secret")
        #expect(seen[0].headers["content-type"] == "application/json")
        #expect(seen[0].headers["expect"] == nil)
        #expect(String(decoding: seen[0].body, as: UTF8.self) == "{\"x\": \"é\"}")
        #expect(seen[1].method == "GET")
        #expect(seen[1].headers["authorization"] == nil)
    }

    private func failure(_ reply: FakeServer.Reply, timeout: Duration = .seconds(20), limit: Int = 1000) async throws
        -> HTTPFailure?
    {
        let server = try FakeServer { _ in reply }
        defer { server.close() }
        let client = try CurlClient()
        do {
            _ = try await client.send(request(server.url, timeout: timeout, limit: limit))
            return nil
        } catch {
            return error
        }
    }

    @Test func tellsWhyThereIsNoAnswer() async throws {
        #expect(try await failure(.drop)?.kind == .broken)
        #expect(try await failure(.short(announced: 500, "half"))?.kind == .broken)
        #expect(try await failure(.hang, timeout: .milliseconds(300))?.kind == .timedOut)
        #expect(try await failure(.late(.seconds(5), 200, "{}"), timeout: .milliseconds(300))?.kind == .timedOut)
        let long = String(repeating: "x", count: 5000)
        #expect(try await failure(.answer(200, long), limit: 4999)?.kind == .tooLong)
        #expect(try await failure(.answer(200, long), limit: 5000) == nil)
        let client = try CurlClient()
        await #expect(throws: HTTPFailure.self) { try await client.send(request("http://127.0.0.1:1")) }
        await #expect(throws: HTTPFailure.self) { try await client.send(request("file:///etc/passwd")) }
    }

    @Test func aCancelledRequestEndsAtOnce() async throws {
        let server = try FakeServer { _ in .hang }
        defer { server.close() }
        let client = try CurlClient(), request = request(server.url)
        let waiting = Task { () async -> HTTPFailure.Kind? in
            do {
                _ = try await client.send(request)
                return nil
            } catch {
                return (error as? HTTPFailure)?.kind
            }
        }
        while server.requests.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
        waiting.cancel()
        #expect(await waiting.value == .cancelled)
    }

    @Test func drivesManyRequestsAtOnce() async throws {
        let server = try FakeServer { .late(.milliseconds(300), 200, String(decoding: $0.body, as: UTF8.self)) }
        defer { server.close() }
        let client = try CurlClient(), url = server.url
        let answers = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<100 {
                group.addTask {
                    let request = HTTPRequest(
                        url: url, body: "\(number)", timeout: .seconds(60), answerLimit: 1000)
                    return try await client.send(request).body == Array("\(number)".utf8)
                }
            }
            return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(answers == 100)
        #expect(server.mostUnderWay > 50)
    }

    @Test func followsNoRedirection() async throws {
        let server = try FakeServer { _ in .answer(302, "elsewhere") }
        defer { server.close() }
        #expect(try await CurlClient().send(request(server.url)).status == 302)
    }
}

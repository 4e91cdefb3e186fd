import Foundation
import Glibc
import PageServer
import Testing

/// A server of a few bytes, and clients that speak to it as they like.
@Suite struct PageServerTests {
    private static func answer(_ request: RequestHead) -> Response {
        switch request.path {
        case "/large": Response(200, "text/plain", String(repeating: "x", count: 3_000_000))
        case "/stream":
            Response(
                200, "text/event-stream",
                body: .stream { writer in
                    for index in 0... {
                        guard writer.isOpen, writer.send("data: \(index)\n\n") else { return }
                        usleep(10_000)
                    }
                })
        default: Response(200, "text/plain", "seen \(request.path)")
        }
    }

    private func server(access: AccessRule.Audience = .thisMachine) throws -> PageServer {
        let server = try PageServer(host: "127.0.0.1", port: 0, access: access, answer: Self.answer)
        server.start()
        return server
    }

    /// A connection that gives up after ten seconds.
    private func connect(_ port: UInt16) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(code == 0)
        var patience = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        return descriptor
    }

    private func send(_ text: String, to descriptor: Int32) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    private func received(from descriptor: Int32, atLeast count: Int = .max) -> String {
        var all: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 1 << 16)
        while all.count < count {
            let got = recv(descriptor, &buffer, buffer.count, 0)
            guard got > 0 else { break }
            all += buffer[..<got]
        }
        return String(decoding: all, as: UTF8.self)
    }

    private func ask(_ port: UInt16, _ text: String) throws -> String {
        let descriptor = try connect(port)
        defer { close(descriptor) }
        send(text, to: descriptor)
        return received(from: descriptor)
    }

    private func get(_ port: UInt16, _ path: String, _ fields: String = "Host: localhost\r\n") throws -> String {
        try ask(port, "GET \(path) HTTP/1.1\r\n\(fields)\r\n")
    }

    /// What is more than it takes at once is told so, and taken when there is room again.
    @Test func connectionsAreBounded() throws {
        let server = try PageServer(
            host: "127.0.0.1", port: 0, access: .thisMachine, connections: 2, answer: Self.answer)
        server.start()
        defer { server.stop() }
        let streams = try (0..<2).map { _ in try connect(server.port) }
        for stream in streams {
            send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n", to: stream)
            #expect(received(from: stream, atLeast: 1).hasPrefix("HTTP/1.1 200"))
        }
        // It is turned away before it has asked.
        let third = try connect(server.port)
        #expect(received(from: third).hasPrefix("HTTP/1.1 503"))
        close(third)
        for stream in streams { close(stream) }
        var answer = ""
        for _ in 0..<1000 where !answer.hasPrefix("HTTP/1.1 200") {
            answer = try get(server.port, "/x")
            if !answer.hasPrefix("HTTP/1.1 200") { usleep(10_000) }
        }
        #expect(answer.hasPrefix("HTTP/1.1 200"))
    }

    @Test func aTextIsMadeOnceForAKey() {
        let text = KeptText<Int>()
        var made = 0
        func asked(_ key: Int) -> String {
            text.text(for: key) {
                made += 1
                return "\(key), \(made)"
            }
        }
        #expect([asked(1), asked(1), asked(2), asked(2), asked(1)] == ["1, 1", "1, 1", "2, 2", "2, 2", "1, 3"])
    }

    @Test func pagesAreAnsweredWholeAndNoOtherSiteMayKeepThem() throws {
        let server = try server()
        defer { server.stop() }
        let answer = try get(server.port, "/x?y=1")
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.hasSuffix("\r\n\r\nseen /x"))
        for field in [
            "Cache-Control: no-store", "nosniff", "same-origin", "X-Frame-Options: DENY", "Content-Length: 7",
        ] {
            #expect(answer.contains(field), "\(field)")
        }
        #expect(try get(server.port, "/large").utf8.count > 3_000_000)
        let head = try ask(server.port, "HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(head.contains("Content-Length: 7") && head.hasSuffix("\r\n\r\n"))
        #expect(try ask(server.port, "PUT / HTTP/1.1\r\nHost: localhost\r\n\r\n").hasPrefix("HTTP/1.1 405"))
        // In pieces, as networks like to.
        let slow = try connect(server.port)
        defer { close(slow) }
        for piece in ["GE", "T /slow HT", "TP/1.1\r", "\nHost: [::1]:80\r\n\r", "\n"] {
            send(piece, to: slow)
            usleep(5000)
        }
        #expect(received(from: slow).hasSuffix("seen /slow"))
    }

    @Test func withoutATokenOnlyThisMachinesNamesAreAnswered() throws {
        let server = try server()
        defer { server.stop() }
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.1.2.3", "[::1]:9", "x.localhost"] {
            #expect(try get(server.port, "/", "Host: \(host)\r\n").hasPrefix("HTTP/1.1 200"), "\(host)")
        }
        for host in ["example.org", "127.0.0.1.example.org", "localhost.example.org", "127.0.0.256", "[::2]", "[", ""] {
            #expect(try get(server.port, "/", "Host: \(host)\r\n").hasPrefix("HTTP/1.1 403"), "\(host)")
        }
        #expect(try get(server.port, "/", "").hasPrefix("HTTP/1.1 400"))
    }

    @Test func whereEverybodyIsAnsweredNoNameIsAskedFor() throws {
        let server = try server(access: .everybody)
        defer { server.stop() }
        for host in ["10.1.2.3:9464", "example.org", "localhost"] {
            #expect(try get(server.port, "/", "Host: \(host)\r\n").hasPrefix("HTTP/1.1 200"), "\(host)")
        }
        #expect(try get(server.port, "/", "").hasPrefix("HTTP/1.1 400"))
    }

    @Test func aTokenOpensAndNothingElseDoes() throws {
        let token = AccessRule.newToken()
        #expect(token.utf8.count == 32 && token != AccessRule.newToken())
        let server = try server(access: .holders(of: token))
        defer { server.stop() }
        let port = server.port, host = "Host: example.org\r\n"
        for fields in [
            "", "Authorization: Bearer \(token)0\r\n", "Authorization: Bearer \r\n", "Cookie: opd-watch-1=\(token)\r\n",
        ] {
            #expect(try get(port, "/secret", host + fields).hasPrefix("HTTP/1.1 403"), "\(fields)")
        }
        #expect(try get(port, "/?token=\(token.dropLast())", host).hasPrefix("HTTP/1.1 403"))
        let opened = try get(port, "/?token=\(token)", host)
        #expect(
            opened.hasPrefix("HTTP/1.1 303") && opened.contains("Location: /\r\n")
                && opened.contains("HttpOnly; SameSite=Strict"))
        let cookie = "Cookie: a=b; opd-watch-\(port)=\(token)\r\n"
        #expect(try get(port, "/secret", host + cookie).hasSuffix("seen /secret"))
        #expect(try get(port, "/secret", host + "Authorization: bearer \(token)\r\n").hasSuffix("seen /secret"))
    }

    @Test func bytesThatAreNoRequestGetALineAndCostNothing() throws {
        let server = try server()
        defer { server.stop() }
        #expect(try ask(server.port, "\u{16}\u{3}\u{1}\r\n\r\n").hasPrefix("HTTP/1.1 400"))
        #expect(try ask(server.port, "GET /" + String(repeating: "a", count: 40_000)).hasPrefix("HTTP/1.1 431"))
        // Whoever says nothing is in nobody's way, up to a number of them.
        let idle = try (0..<60).map { _ in try connect(server.port) }
        usleep(200_000)
        #expect(received(from: idle[59]).hasPrefix("HTTP/1.1 503"))
        for descriptor in idle { close(descriptor) }
        usleep(200_000)
        #expect(try get(server.port, "/").hasSuffix("seen /"))
    }

    @Test func aStreamEndsWithItsClientAndWithTheServer() throws {
        let server = try server()
        let first = try connect(server.port)
        send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n", to: first)
        #expect(received(from: first, atLeast: 400).contains("data: 0\n\ndata: 1\n\n"))
        close(first)
        let second = try connect(server.port)
        defer { close(second) }
        send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n", to: second)
        #expect(received(from: second, atLeast: 400).contains("data: 0\n\n"))
        server.stop()
        // Whatever came before the end, there is one.
        #expect(received(from: second).utf8.count < 10_000)
    }

    @Test func anAddressThatIsTakenIsSaid() throws {
        let first = try server()
        defer { first.stop() }
        #expect(throws: PageServerError.self) {
            try PageServer(host: "127.0.0.1", port: first.port, access: .thisMachine, answer: Self.answer)
        }
        let second = try PageServer(
            host: "127.0.0.1", port: first.port, or: [first.port, 0], access: .thisMachine, answer: Self.answer)
        #expect(second.port != first.port && second.port != 0)
        #expect(throws: PageServerError.self) {
            try PageServer(host: "no.such.name.invalid", port: 0, or: [1], access: .thisMachine, answer: Self.answer)
        }
        for host in ["127.0.0.1", "localhost", "::1"] { #expect(PageServer.isLoopback(host)) }
        for host in ["0.0.0.0", "::", "*", "10.0.0.1", "127.0.0.1:5"] { #expect(!PageServer.isLoopback(host)) }
    }
}

import PageServer
import Testing

@Suite struct RequestHeadTests {
    private func head(_ text: String) throws(RequestError) -> RequestHead { try RequestHead(Array(text.utf8)) }

    private func status(_ text: String) -> Int? {
        do {
            _ = try head(text)
            return nil
        } catch {
            return error.status
        }
    }

    @Test func aBrowsersRequestIsRead() throws {
        let request = try head(
            "GET /samples?run=1&q=a%20%26b&empty&x=1=2 HTTP/1.1\r\nHost: localhost:80\r\nCookie: a=1\r\ncookie: b=2\r\n"
                + "ACCEPT:\t text/html \r\n\r\n")
        #expect(request.method == "GET" && request.path == "/samples")
        #expect(request.query == ["run": "1", "q": "a &b", "empty": "", "x": "1=2"])
        #expect(request.headers == ["host": "localhost:80", "cookie": "a=1; b=2", "accept": "text/html"])
    }

    @Test func whatNoBrowserSendsIsRefused() {
        let end = " HTTP/1.1\r\nHost: x\r\n\r\n"
        for (text, expected) in [
            ("GET /" + end, nil), ("get /" + end, 400), ("GET  /" + end, 400), ("GET x" + end, 400),
            ("GET http://x/" + end, 400), ("GET /%00" + end, 400), ("GET /%4" + end, 400), ("GET /%zz" + end, 400),
            ("GET /%ff" + end, 400), ("GET /a\u{e9}" + end, 400),
            ("GET /" + String(repeating: "a", count: 3000) + end, 414),
            ("GET / HTTP/2\r\n\r\n", 505), ("GET /\r\n\r\n", 400), ("\r\n\r\n", 400), ("", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400), ("GET / HTTP/1.1\nHost: a\n\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400), ("GET / HTTP/1.1\r\n: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400), ("GET / HTTP/1.1\r\nA: \u{1}\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\nmore", 400),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 413),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
            ("GET / HTTP/1.1\r\n" + String(repeating: "A: b\r\n", count: 101) + "\r\n", 431),
            ("GET /?" + String(repeating: "a&", count: 40) + end, 400),
        ] { #expect(status(text) == expected, "\(text.prefix(60).debugDescription)") }
    }

    @Test func aHeadEndsAtItsEmptyLine() {
        #expect(RequestHead.end(in: Array("GET / HTTP/1.1\r\n\r\nx".utf8)) == 18)
        #expect(RequestHead.end(in: Array("GET / HTTP/1.1\r\n\r".utf8)) == nil && RequestHead.end(in: []) == nil)
    }
}

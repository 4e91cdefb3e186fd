import PageServer

extension FuzzTarget {
    /// What a browser, or anybody else, sends to a page's server.
    static let request = FuzzTarget(name: "request") { bytes in
        guard let end = RequestHead.end(in: bytes) else { return }
        guard end <= bytes.count else { throw BrokenPromise("a head ends within its bytes") }
        let request: RequestHead
        do throws(RequestError) { request = try RequestHead(bytes[..<end]) } catch {
            guard (400...505).contains(error.status) else { throw BrokenPromise("what is refused has a status") }
            return
        }
        guard end <= RequestHead.limit, request.path.hasPrefix("/"), !request.path.utf8.contains(0) else {
            throw BrokenPromise("a request that was taken is bounded and names a page")
        }
        let isText = request.headers.allSatisfy { name, value in
            name == name.lowercased() && !value.utf8.contains { $0 == 0x0a || $0 == 0x0d }
        }
        guard isText else { throw BrokenPromise("a header field is one line") }
    }
}

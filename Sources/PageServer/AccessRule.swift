import Wording

/// Who may see the pages.
package struct AccessRule: Sendable {
    /// Who is answered.
    package enum Audience: Sendable {
        /// Whoever is on this machine, where alone the server listens.
        case thisMachine
        /// Whoever has this token.
        case holders(of: String)
        /// Whoever can connect.
        case everybody
    }

    private let audience: Audience
    /// The name of the cookie that keeps the token. A browser sends a host's cookies to all of its ports.
    private let cookie: String

    init(_ audience: Audience, port: UInt16) {
        self.audience = audience
        cookie = "opd-watch-\(port)"
    }

    /// A token that nobody guesses: 128 random bits.
    package static func newToken() -> String {
        (0..<2).map { _ in UInt64.random(in: 0 ... .max).padded(to: 16, radix: 16) }.joined()
    }

    /// The answer to a request that is not let through; nil for one that is.
    func refusal(of request: RequestHead) -> Response? {
        guard let host = request.headers["host"] else { return .plain(400, "a request without a host") }
        let token: String
        switch audience {
        case .everybody: return nil
        case .holders(let secret): token = secret
        case .thisMachine:
            // Another site's page could make a browser on this machine ask by that site's name, and read the answer.
            return Self.isThisMachine(host)
                ? nil : .plain(403, "this page is for this machine; open it as localhost or 127.0.0.1")
        }
        if let given = request.query["token"], Self.isEqual(given, token) {
            // The token leaves the address, which people copy and browsers keep.
            var answer = Response(303, "text/plain; charset=utf-8", "")
            answer.headers = [
                ("Location", "/"), ("Set-Cookie", "\(cookie)=\(token); Path=/; HttpOnly; SameSite=Strict"),
            ]
            return answer
        }
        let bearer = request.headers["authorization", default: ""]
        if bearer.lowercased().hasPrefix("bearer "), Self.isEqual(String(bearer.dropFirst(7)), token) { return nil }
        for part in request.headers["cookie", default: ""].split(separator: ";") {
            let pair = part.drop { $0 == " " }.split(separator: "=", maxSplits: 1)
            if pair.count == 2, pair[0] == cookie, Self.isEqual(String(pair[1]), token) { return nil }
        }
        return .plain(403, "this page needs its token: open the address that 'opd watch' has printed")
    }

    /// Whether a Host field names this machine by a name that no other site can have.
    static func isThisMachine(_ host: String) -> Bool {
        var name = host.lowercased()
        if name.hasPrefix("[") {
            guard let end = name.firstIndex(of: "]") else { return false }
            return name[...end] == "[::1]"
        }
        if let colon = name.lastIndex(of: ":") { name = String(name[..<colon]) }
        if name == "localhost" || name.hasSuffix(".localhost") { return true }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// Takes as long whatever differs.
    private static func isEqual(_ a: String, _ b: String) -> Bool {
        let (a, b) = (Array(a.utf8), Array(b.utf8))
        guard a.count == b.count else { return false }
        return zip(a, b).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

/// What a request is answered with; the connection is closed behind it.
package struct Response: Sendable {
    /// What follows the head.
    package enum Body: Sendable {
        case bytes([UInt8])
        /// A body that is written piece by piece, until the function returns.
        case stream(@Sendable (StreamWriter) -> Void)
    }

    package var status: Int
    package var contentType: String
    package var headers: [(name: String, value: String)] = []
    package var body: Body

    package init(_ status: Int = 200, _ contentType: String, body: Body) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    package init(_ status: Int = 200, _ contentType: String, _ text: String) {
        self.init(status, contentType, body: .bytes(Array(text.utf8)))
    }

    /// One line for a person.
    package static func plain(_ status: Int, _ text: String) -> Response {
        Response(status, "text/plain; charset=utf-8", text + "\n")
    }

    package static let notFound = plain(404, "there is nothing here")

    /// Headers of every answer: another site's page may neither show, read nor keep it, and its type is not guessed.
    private static let always = [
        ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "same-origin"), ("Cross-Origin-Opener-Policy", "same-origin"),
        ("X-Frame-Options", "DENY"), ("Connection", "close"),
    ]

    /// Status line and header fields, with the empty line.
    var head: String {
        var fields = [("Content-Type", contentType)] + headers.map { ($0.name, $0.value) } + Self.always
        if case .bytes(let bytes) = body { fields.append(("Content-Length", String(bytes.count))) }
        let lines = fields.map { "\($0.0): \(Self.fieldValue($0.1))\r\n" }
        return "HTTP/1.1 \(status) \(Self.reason(status))\r\n" + lines.joined() + "\r\n"
    }

    /// The value without what would end its line.
    private static func fieldValue(_ text: String) -> String {
        String(decoding: text.utf8.filter { (0x20..<0x7f).contains($0) }, as: UTF8.self)
    }

    private static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 303: "See Other"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 503: "Service Unavailable"
        case 500...: "Error"
        default: "Refused"
        }
    }
}

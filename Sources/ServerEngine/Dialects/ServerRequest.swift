import JSON

/// A request to a server, before it is known which of several answers it.
package struct ServerRequest: Sendable, Equatable {
    /// HTTP's methods that are used.
    package enum Method: String, Sendable { case get = "GET", post = "POST" }

    package var method: Method
    /// The path from the root, with its query.
    package var path: String
    /// JSON; nil: no body.
    package var body: String?

    package init(_ method: Method, _ path: String, _ body: JSONValue? = nil) {
        self.method = method
        self.path = path
        self.body = body?.text(pretty: false)
    }
}

extension JSONValue {
    /// An array of ids.
    init(_ ids: [Int32]) { self = .array(ids.map { .integer(Int($0)) }) }
}

/// What is wrong with a server's answer, in one line.
package struct AnswerFlaw: Error, CustomStringConvertible, Sendable, Equatable {
    package let description: String
    package init(_ description: String) { self.description = description }
}

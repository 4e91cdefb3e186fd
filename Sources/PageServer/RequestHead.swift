/// A request that is refused, with the HTTP status that says so.
package struct RequestError: Error, Equatable {
    package let status: Int
    package let message: String

    init(_ status: Int, _ message: String) {
        self.status = status
        self.message = message
    }
}

/// What a browser or a scraper asks for: the head of an HTTP/1.1 request (RFC 9112), as far as pages need one.
///
/// Any program that reaches the port can send any bytes: sizes and counts are bounded, and what no browser sends is
/// refused instead of guessed at.
package struct RequestHead: Sendable, Equatable {
    package var method: String
    /// Escapes resolved, without the query.
    package var path: String
    package var query: [String: String]
    /// The values by lower-case names.
    package var headers: [String: String]

    /// Most bytes of a head.
    package static let limit = 16 << 10
    private static let mostHeaders = 100, mostParameters = 32, longestTarget = 2048

    /// Where the first head of the bytes ends: behind its empty line; nil while that has not come.
    package static func end(in bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for index in 0...(bytes.count - 4)
        where bytes[index] == 0x0d && bytes[index + 1] == 0x0a && bytes[index + 2] == 0x0d && bytes[index + 3] == 0x0a {
            return index + 4
        }
        return nil
    }

    /// Reads a head, its empty line included.
    package init(_ bytes: some Collection<UInt8>) throws(RequestError) {
        guard bytes.count <= Self.limit else { throw RequestError(431, "the request's head is too long") }
        var lines = try Self.lines(Array(bytes))
        guard !lines.isEmpty else { throw RequestError(400, "an empty request") }
        let parts = lines.removeFirst().split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 3, (1...16).contains(parts[0].count), parts[0].allSatisfy({ (0x41...0x5a).contains($0) })
        else { throw RequestError(400, "no request line of HTTP") }
        guard parts[2].elementsEqual("HTTP/1.1".utf8) || parts[2].elementsEqual("HTTP/1.0".utf8) else {
            throw RequestError(505, "another version of HTTP")
        }
        method = String(decoding: parts[0], as: UTF8.self)
        (path, query) = try Self.target(parts[1])
        guard lines.count <= Self.mostHeaders else { throw RequestError(431, "too many header fields") }
        headers = [:]
        for line in lines {
            let (name, value) = try Self.header(line)
            if let before = headers[name] {
                // Which of two hosts is meant would be anybody's guess.
                guard name != "host" else { throw RequestError(400, "two Host fields") }
                headers[name] = before + (name == "cookie" ? "; " : ", ") + value
            } else {
                headers[name] = value
            }
        }
        guard headers["transfer-encoding"] == nil, headers["content-length", default: "0"] == "0" else {
            throw RequestError(413, "a request with a body")
        }
    }

    private static func lines(_ bytes: [UInt8]) throws(RequestError) -> [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = [], start = 0
        for index in bytes.indices where bytes[index] == 0x0a {
            guard index > start, bytes[index - 1] == 0x0d else { throw RequestError(400, "a line that ends early") }
            let line = bytes[start..<(index - 1)]
            start = index + 1
            guard !line.contains(0x0d) else { throw RequestError(400, "a line that ends early") }
            if line.isEmpty {
                guard start == bytes.count else { break }
                return lines
            }
            lines.append(line)
        }
        throw RequestError(400, "a head without an end")
    }

    private static func target(
        _ bytes: ArraySlice<UInt8>
    ) throws(RequestError) -> (path: String, query: [String: String]) {
        guard bytes.count <= longestTarget else { throw RequestError(414, "the address is too long") }
        guard bytes.first == UInt8(ascii: "/"), bytes.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw RequestError(400, "no address of a page")
        }
        let parts = bytes.split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        var query: [String: String] = [:]
        if parts.count > 1 {
            let parameters = parts[1].split(separator: UInt8(ascii: "&"))
            guard parameters.count <= mostParameters else { throw RequestError(400, "too many parameters") }
            for parameter in parameters {
                let pair = parameter.split(
                    separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
                query[try unescaped(pair[0])] = pair.count > 1 ? try unescaped(pair[1]) : ""
            }
        }
        return (try unescaped(parts[0]), query)
    }

    private static func unescaped(_ bytes: ArraySlice<UInt8>) throws(RequestError) -> String {
        var plain: [UInt8] = [], index = bytes.startIndex
        while index < bytes.endIndex {
            if bytes[index] != UInt8(ascii: "%") {
                plain.append(bytes[index])
                index += 1
                continue
            }
            guard index + 2 < bytes.endIndex, let high = digit(bytes[index + 1]), let low = digit(bytes[index + 2]),
                high << 4 | low != 0
            else { throw RequestError(400, "an escape that is none") }
            plain.append(high << 4 | low)
            index += 3
        }
        guard let text = String(validating: plain, as: UTF8.self) else { throw RequestError(400, "no text") }
        return text
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    private static func header(_ line: ArraySlice<UInt8>) throws(RequestError) -> (name: String, value: String) {
        let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, parts[0].allSatisfy(isTokenByte) else {
            throw RequestError(400, "a header field without a name")
        }
        let value = parts[1].drop { $0 == 0x20 || $0 == 0x09 }
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
            throw RequestError(400, "a header field with control characters")
        }
        var end = value.endIndex
        while end > value.startIndex, value[end - 1] == 0x20 || value[end - 1] == 0x09 { end -= 1 }
        return (
            String(decoding: parts[0], as: UTF8.self).lowercased(),
            String(decoding: value[value.startIndex..<end], as: UTF8.self)
        )
    }

    /// Characters of a token (RFC 9110, 5.6.2).
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}

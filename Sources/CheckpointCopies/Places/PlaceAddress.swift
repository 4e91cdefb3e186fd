import Wording

/// Where copies of checkpoints go: a folder, a folder of another machine, or a part of a store of objects.
///
/// Paths on other machines and names of files are held to letters, digits and `._-`, which no shell and no tool reads
/// otherwise: nothing is ever quoted.
package enum PlaceAddress: Sendable, Equatable {
    /// A folder that this machine reaches, such as one that is mounted.
    case folder(String)
    /// A folder that ssh reaches; `user` and `port` are nil where the user's own ssh decides. A path that does not begin
    /// with a slash counts from the home folder there.
    case ssh(user: String?, host: String, port: Int?, path: String)
    /// What is below a prefix in a bucket of an S3 store; the prefix may be empty.
    case s3(bucket: String, prefix: String)

    /// Whether a text is an address and not the path of a folder.
    package static func isURL(_ text: String) -> Bool {
        ["file://", "ssh://", "s3://"].contains { text.hasPrefix($0) }
    }

    /// Reads an address.
    /// - Parameter key: what it was given as, for the error.
    package init(_ text: String, key: String) throws(UsageError) {
        func refuse(_ why: String) -> UsageError { UsageError("\(key): '\(Self.withoutSecret(text))' \(why)") }
        guard let separator = text.firstRange(of: "://") else {
            guard !text.isEmpty else { throw refuse("is no place; give a folder or a URL") }
            self = .folder(Self.trimmed(text))
            return
        }
        let scheme = text[..<separator.lowerBound], rest = text[separator.upperBound...]
        switch scheme {
        case "file":
            guard rest.hasPrefix("/") else { throw refuse("is no file:///path") }
            self = .folder(Self.trimmed(String(rest)))
        case "ssh":
            let (authority, path) = Self.split(rest)
            var user: String?, host = authority
            if let at = authority.lastIndex(of: "@") {
                user = String(authority[..<at])
                host = authority[authority.index(after: at)...]
            }
            guard user?.contains(":") != true else {
                throw refuse("has a password in it; ssh:// uses your own ssh with its keys, so leave the password out")
            }
            var port: Int?
            if let colon = host.lastIndex(of: ":") {
                guard let number = Int(host[host.index(after: colon)...]), (1...65_535).contains(number) else {
                    throw refuse("has no port from 1 to 65535 behind its colon")
                }
                port = number
                host = host[..<colon]
            }
            guard Self.isWord(host), user.map({ Self.isWord($0[...]) }) ?? true else {
                throw refuse("is no ssh://user@host/path: user and host have letters, digits and ._- only")
            }
            var folder = Self.trimmed(String(path))
            if folder.hasPrefix("/~/") { folder.removeFirst(3) }
            guard folder != "/", Self.isPlain(folder.hasPrefix("/") ? folder.dropFirst() : folder[...]) else {
                throw refuse("names no folder: its path has letters, digits and ._- between slashes only")
            }
            self = .ssh(user: user, host: String(host), port: port, path: folder)
        case "s3":
            let (bucket, path) = Self.split(rest)
            guard !bucket.contains("@"), !bucket.contains(":") else {
                throw refuse(
                    "has more than a bucket before its path; keys are those of your variables or profile "
                        + "(AWS_ACCESS_KEY_ID, ~/.aws/credentials), and a store of your own is AWS_ENDPOINT_URL_S3")
            }
            guard Self.isWord(bucket), bucket != ".", bucket != ".." else {
                throw refuse("is no s3://bucket/prefix: a bucket has letters, digits and ._- only")
            }
            let prefix = Self.trimmed(String(path)).dropFirst()
            guard prefix.isEmpty || Self.isPlain(prefix) else {
                throw refuse("names no prefix: it has letters, digits and ._- between slashes only")
            }
            self = .s3(bucket: String(bucket), prefix: String(prefix))
        default: throw refuse("is none of file://, ssh:// and s3://")
        }
    }

    /// The address as a person writes it.
    package var text: String {
        switch self {
        case .folder(let path): return path
        case .ssh(let user, let host, let port, let path):
            let who = user.map { "\($0)@" } ?? "", colon = port.map { ":\($0)" } ?? ""
            return "ssh://\(who)\(host)\(colon)\(path.hasPrefix("/") ? path : "/~/\(path)")"
        case .s3(let bucket, let prefix): return "s3://\(bucket)\(prefix.isEmpty ? "" : "/\(prefix)")"
        }
    }

    /// Whether a text is a path of plain names, none of which leads upwards.
    static func isPlain(_ text: Substring) -> Bool {
        text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy {
            isWord($0) && $0 != "." && $0 != ".."
        }
    }

    /// Whether a text is one plain name, which nothing takes for an option.
    private static func isWord(_ text: Substring) -> Bool {
        !text.isEmpty && !text.hasPrefix("-")
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
                    || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-")
            }
    }

    private static func split(_ text: Substring) -> (authority: Substring, path: Substring) {
        let slash = text.firstIndex(of: "/") ?? text.endIndex
        return (text[..<slash], text[slash...])
    }

    /// What was given, without what may be a password: all between a colon and the last `@`, for one may have slashes.
    private static func withoutSecret(_ text: String) -> String {
        guard let scheme = text.firstRange(of: "://"), let at = text[scheme.upperBound...].lastIndex(of: "@"),
            let colon = text[scheme.upperBound..<at].firstIndex(of: ":")
        else { return text }
        return text[...colon] + "***" + text[at...]
    }

    /// A path without slashes at its end.
    private static func trimmed(_ path: String) -> String {
        var path = path
        while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }
}

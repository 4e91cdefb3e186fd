/// A process cannot start as it was asked to: exit status 2.
public enum ProcessError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The configuration or the command line asks for what cannot be.
    case usage(String)

    public var description: String {
        switch self {
        case .usage(let message): message
        }
    }
}

/// Where a process may listen or connect without encryption.
enum EndpointPolicy {
    /// Refuses plain TCP off this machine unless the configuration allows it in as many words.
    static func check(_ endpoint: String, allowPlaintext: Bool, isEncrypted: Bool) throws(ProcessError) {
        guard !allowPlaintext, !isEncrypted, endpoint.hasPrefix("tcp://") else { return }
        var host = Substring(endpoint.dropFirst("tcp://".count))
        if let colon = host.lastIndex(of: ":") { host = host[..<colon] }
        // A source address may stand before the semicolon.
        if let semicolon = host.lastIndex(of: ";") { host = host[host.index(after: semicolon)...] }
        let isLoopback = host == "localhost" || host == "[::1]" || host == "::1" || isLoopbackAddress(host)
        guard !isLoopback else { return }
        throw .usage(
            "\(endpoint) leaves this machine unencrypted, where anyone on the network can read and write the run; "
                + "make keys with 'opd keygen', or set pipeline.allow_plaintext: true if that is meant")
    }

    private static func isLoopbackAddress(_ host: Substring) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return parts.count == 4 && !parts.contains(nil) && parts[0] == 127
    }
}

import Wording

/// Where a process may listen or connect without encryption.
package enum EndpointPolicy {
    /// Refuses plain TCP off this machine unless the configuration allows it in as many words.
    package static func check(_ endpoint: String, allowPlaintext: Bool, isEncrypted: Bool) throws(UsageError) {
        guard !allowPlaintext, !isEncrypted, endpoint.hasPrefix("tcp://") else { return }
        var host = Substring(endpoint.dropFirst("tcp://".count))
        if let colon = host.lastIndex(of: ":") { host = host[..<colon] }
        // A source address may stand before the semicolon.
        if let semicolon = host.lastIndex(of: ";") { host = host[host.index(after: semicolon)...] }
        let isLoopback = host == "localhost" || host == "[::1]" || host == "::1" || isLoopbackAddress(host)
        guard !isLoopback else { return }
        throw UsageError(
            "\(endpoint) leaves this machine unencrypted, where anyone on the network can read and write the run; "
                + "make keys with 'opd keygen', or set pipeline.allow_plaintext: true if that is meant")
    }

    /// The endpoints of a list with commas between, each of which must be allowed.
    package static func endpoints(
        _ list: String, allowPlaintext: Bool, isEncrypted: Bool
    ) throws(UsageError) -> [String] {
        let endpoints = list.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard endpoints.count <= 16, !endpoints.contains("") else {
            throw UsageError(
                "'\(list)' is no list of endpoints; write up to 16 with commas and no spaces between, as in "
                    + "tcp://10.0.0.2:7178,tcp://10.0.0.1:7177")
        }
        for endpoint in endpoints {
            // A later one is connected to when it is needed, which is too late to say that it is none.
            guard endpoints.count == 1 || isComplete(endpoint) else {
                throw UsageError("'\(endpoint)' in '\(list)' is no endpoint; write it as in tcp://10.0.0.1:7177")
            }
            try check(endpoint, allowPlaintext: allowPlaintext, isEncrypted: isEncrypted)
        }
        return endpoints
    }

    /// Whether it names a host and a port.
    private static func isComplete(_ endpoint: String) -> Bool {
        guard endpoint.hasPrefix("tcp://"), let colon = endpoint.lastIndex(of: ":"),
            let port = Int(endpoint[endpoint.index(after: colon)...])
        else { return false }
        let host = endpoint[..<colon].dropFirst("tcp://".count)
        return !host.isEmpty && !host.contains { $0.isWhitespace || $0 == "/" } && (1...65535).contains(port)
    }

    private static func isLoopbackAddress(_ host: Substring) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return parts.count == 4 && !parts.contains(nil) && parts[0] == 127
    }
}

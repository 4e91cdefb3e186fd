import Files
import Wording

/// How a store is reached, and by whom: as the user's other tools know it, from their variables and files.
package struct S3Account: Sendable, Equatable, CustomStringConvertible {
    /// Where the store is, with no slash at its end; nil: it is that of AWS.
    package private(set) var endpoint: String?
    package private(set) var region: String
    package private(set) var keyID: String
    package private(set) var secret: String
    /// Of keys that are good for some hours only.
    package private(set) var token: String?
    /// PEM file of the authorities that are trusted; nil: the system's.
    package private(set) var authorities: String?

    /// No secret.
    package var description: String { "\(endpoint ?? "AWS") in \(region)" }

    /// Reads variables, then the profile that they name.
    /// - Parameters:
    ///   - read: the text of a file; nil: it is not there.
    /// - Throws: `UsageError` when there are no keys, or what is there makes no sense.
    package init(
        environment: [String: String], read: (_ path: String) throws(FileError) -> String?
    ) throws(UsageError) {
        func variable(_ names: String...) -> String? { names.lazy.compactMap { environment[$0] }.first { !$0.isEmpty } }
        func file(_ name: String, _ usual: String) throws(UsageError) -> ProfileFile {
            guard let path = variable(name) ?? variable("HOME").map({ "\($0)/.aws/\(usual)" }) else {
                return ProfileFile()
            }
            let text: String?
            do { text = try read(path) } catch { throw UsageError("\(error)") }
            return try text.map { text throws(UsageError) in try ProfileFile(text, path: path) } ?? ProfileFile()
        }
        let credentials = try file("AWS_SHARED_CREDENTIALS_FILE", "credentials")
        let settings = try file("AWS_CONFIG_FILE", "config")
        let name = variable("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
        let profile = name ?? "default"
        let keys = credentials.sections[profile]
        let setting =
            settings.sections["profile \(profile)"] ?? (profile == "default" ? settings.sections[profile] : nil)
        if let name, keys == nil, setting == nil {
            throw UsageError(
                "AWS_PROFILE is '\(name)', and neither ~/.aws/credentials nor ~/.aws/config has that profile")
        }
        func value(_ key: String) -> String? {
            [keys, setting].lazy.compactMap { $0?[key] }.first { !$0.isEmpty }
        }

        if let id = variable("AWS_ACCESS_KEY_ID"), let secret = variable("AWS_SECRET_ACCESS_KEY") {
            (keyID, self.secret, token) = (id, secret, variable("AWS_SESSION_TOKEN"))
        } else if let id = value("aws_access_key_id"), let secret = value("aws_secret_access_key") {
            (keyID, self.secret, token) = (id, secret, value("aws_session_token"))
        } else {
            let unknown = ["credential_process", "role_arn", "sso_session", "sso_start_url", "web_identity_token_file"]
            let why = unknown.first { value($0) != nil }.map {
                "profile '\(profile)' has \($0), which is not read here"
            }
            throw UsageError(
                "s3:// needs credentials, and \(why ?? "there are none"); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as "
                    + "'aws configure export-credentials --format env' prints them, or write them to ~/.aws/credentials"
            )
        }
        for word in [keyID, secret, token ?? "-"] where !Self.isWord(word) {
            throw UsageError("the credentials for s3:// have spaces or signs that no key has; copy them anew")
        }

        let services = setting?["services"].flatMap { settings.sections["services \($0)"] }
        let address =
            variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") ?? services?["s3.endpoint_url"] ?? value(
                "s3.endpoint_url")
            ?? value("endpoint_url")
        endpoint = try address.map { text throws(UsageError) in try Self.endpoint(text) }
        region = variable("AWS_REGION", "AWS_DEFAULT_REGION") ?? value("region") ?? "us-east-1"
        guard region.utf8.count <= 64, region.utf8.allSatisfy({ Self.isLetter($0) || $0 == UInt8(ascii: "-") }) else {
            throw UsageError("the region '\(region)' for s3:// has more than letters, digits and '-'; set AWS_REGION")
        }
        authorities = variable("AWS_CA_BUNDLE") ?? value("ca_bundle")
    }

    /// An address of a store: `http` or `https`, a host, perhaps a port and a path.
    private static func endpoint(_ text: String) throws(UsageError) -> String {
        var address = text[...]
        while address.hasSuffix("/") { address.removeLast() }
        let host = ["https://", "http://"].lazy.filter { address.hasPrefix($0) }.map {
            address.dropFirst($0.utf8.count)
        }
        guard let rest = host.first, let first = rest.utf8.first, isLetter(first) || first == UInt8(ascii: "["),
            rest.utf8.allSatisfy({ isLetter($0) || ".-:/_[]".utf8.contains($0) })
        else {
            // It may have a password in it.
            throw UsageError(
                "the endpoint for s3:// is no https://host:port; set AWS_ENDPOINT_URL_S3, or endpoint_url in ~/.aws/config"
            )
        }
        return String(address)
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
    }

    /// Whether it can stand in the head of a request.
    private static func isWord(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 1 << 14 && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    }
}

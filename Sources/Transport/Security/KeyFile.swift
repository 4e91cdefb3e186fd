import Files
import Glibc
import SystemPackage
import Wording
import ZeroMQ

/// Key files: a pair of text files in the format of ZeroMQ certificates, which pyzmq and czmq read too, and lists of
/// public keys.
package enum KeyFile {
    /// What `write` has made.
    package struct Written: Sendable {
        /// Path of the secret file, for the one process whose key it is.
        package var secret: String
        /// Path of the public file, for everybody.
        package var publicFile: String
        package var publicKey: CurveKey
    }

    // MARK: Writing

    private static let readableByAll: FilePermissions = [.ownerReadWrite, .groupRead, .otherRead]

    /// Makes a key pair: `path`.key for its owner's eyes only, and `path`.pub. Files that exist are left as they are.
    package static func generate(_ path: String) throws(UsageError) -> Written {
        let (secret, publicFile) = ("\(path).key", "\(path).pub")
        for file in [secret, publicFile] where FileTree.kind(file) != .missing {
            throw UsageError("\(file) exists; choose another name, or remove it if nothing uses it any more")
        }
        let keys: CurveKeyPair
        do { keys = try CurveKeyPair.generate() } catch { throw UsageError("no key can be made: \(error)") }
        do {
            try FileTree.createFolder(FileTree.parent(of: path))
            try FileTree.create(
                """
                # A secret CURVE key of opd: for one process, and nobody else.
                metadata
                curve
                    public-key = "\(keys.publicKey)"
                    secret-key = "\(keys.secretKey.text)"

                """, at: secret, permissions: .ownerReadWrite)
            try FileTree.create(
                """
                # A public CURVE key of opd.
                metadata
                curve
                    public-key = "\(keys.publicKey)"

                """, at: publicFile, permissions: readableByAll)
        } catch {
            throw UsageError("\(error); no key was made")
        }
        return Written(secret: secret, publicFile: publicFile, publicKey: keys.publicKey)
    }

    /// Makes a list of client keys.
    package static func writeClients(
        _ clients: [(key: CurveKey, name: String)], to path: String
    ) throws(UsageError) {
        let lines = clients.map { "\($0.key) \($0.name)\n" }.joined()
        do {
            try FileTree.create(
                "# Public keys that may connect, one a line, each with a name for people.\n" + lines, at: path,
                permissions: readableByAll)
        } catch {
            throw UsageError("\(error); the list was not written")
        }
    }

    // MARK: Reading

    /// The pair in a secret key's file, which nobody but its owner may read.
    package static func secret(_ path: String) throws(UsageError) -> CurveKeyPair {
        let fields = try fields(path, isSecret: true)
        guard let text = fields["secret-key"] else {
            throw UsageError("\(path) holds no secret key; name the file that ends in .key")
        }
        guard let secretKey = CurveSecretKey(text), let publicKey = secretKey.publicKey,
            fields["public-key"] == nil || fields["public-key"] == publicKey.text
        else { throw UsageError("\(path) is damaged: its secret key is none, or not that of its public key") }
        return CurveKeyPair(publicKey: publicKey, secretKey: secretKey)
    }

    /// The key in a public key's file.
    package static func publicKey(_ path: String) throws(UsageError) -> CurveKey {
        let fields = try fields(path, isSecret: false)
        guard fields["secret-key"] == nil else {
            throw UsageError(
                "\(path) holds a secret key, which belongs to one process; name the file that ends in .pub")
        }
        guard let key = fields["public-key"].flatMap({ CurveKey($0) }) else {
            throw UsageError("\(path) holds no public key; make keys with 'opd keygen'")
        }
        return key
    }

    /// The keys of a list: the first word of each line, unless the line is empty or begins with `#`, as no key does.
    package static func clients(_ path: String) throws(UsageError) -> Set<CurveKey> {
        var keys: Set<CurveKey> = []
        for (index, line) in try text(path, isSecret: false).split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            guard let word = line.split(whereSeparator: \.isWhitespace).first else { continue }
            if let key = CurveKey(String(word)) {
                keys.insert(key)
            } else if !word.hasPrefix("#") {
                throw UsageError(
                    "\(path):\(index + 1): expected a public key of 40 characters and a name, as 'opd keygen' prints them"
                )
            }
        }
        return keys
    }

    /// `name = "value"`, line by line. Values are not repeated in messages.
    private static func fields(_ path: String, isSecret: Bool) throws(UsageError) -> [String: String] {
        var fields: [String: String] = [:]
        for line in try text(path, isSecret: isSecret).split(separator: "\n") {
            let line = line.drop { $0.isWhitespace }
            guard !line.hasPrefix("#"), let equals = line.firstIndex(of: "=") else { continue }
            let name = line[..<equals].filter { !$0.isWhitespace }
            fields[name] = line[line.index(after: equals)...].filter { !$0.isWhitespace && $0 != "\"" && $0 != "'" }
        }
        return fields
    }

    private static func text(_ path: String, isSecret: Bool) throws(UsageError) -> String {
        do {
            // What is checked is what was opened, not what has the name a moment later.
            let file = try OpenFile.reading(path)
            if isSecret { try checkOwnersOnly(try file.status(), path) }
            return String(decoding: try file.readAll(limit: 1 << 20), as: UTF8.self)
        } catch let error as FileError {
            throw switch error.reason {
            case .notFile: UsageError("\(path) is not a file")
            case .tooLong: UsageError("\(path) is too large for a file of keys")
            case .system: UsageError("\(error)")
            }
        } catch {
            throw error as? UsageError ?? UsageError("\(error)")
        }
    }

    /// Refuses a file that anyone but its owner, who is this user or root, may read or write.
    private static func checkOwnersOnly(_ status: stat, _ path: String) throws(UsageError) {
        guard status.st_uid == geteuid() || status.st_uid == 0 else {
            throw UsageError("\(path) belongs to another user, who can read the secret key in it; make one of your own")
        }
        let mode = status.st_mode & 0o7777
        guard mode & 0o7177 == 0 else {
            let octal = String(mode, radix: 8)
            throw UsageError("\(path) has mode 0\(octal), but a secret key is for its owner alone: chmod 600 \(path)")
        }
    }
}

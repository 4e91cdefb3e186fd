import Files
import Glibc
import Wording
import ZeroMQ

/// Key files: a pair of text files in the format of ZeroMQ certificates, which pyzmq and czmq read too, and lists of
/// public keys.
package enum KeyFile {
    /// What `write` has made.
    package struct Written: Sendable {
        /// For the one process whose key it is.
        package var secret: String
        /// For everybody.
        package var publicFile: String
        package var publicKey: CurveKey
    }

    // MARK: Writing

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
            try create(
                secret, mode: 0o600,
                """
                # A secret CURVE key of opd: for one process, and nobody else.
                metadata
                curve
                    public-key = "\(keys.publicKey)"
                    secret-key = "\(keys.secretKey.text)"

                """)
            try create(
                publicFile, mode: 0o644,
                """
                # A public CURVE key of opd.
                metadata
                curve
                    public-key = "\(keys.publicKey)"

                """)
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
            try create(
                path, mode: 0o644, "# Public keys that may connect, one a line, each with a name for people.\n" + lines)
        } catch {
            throw UsageError("\(error); the list was not written")
        }
    }

    /// A new file, on disk when this returns, with this very mode.
    private static func create(_ path: String, mode: mode_t, _ text: String) throws(FileTreeError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw FileTreeError(path, errno) }
        var code: Int32 = fchmod(descriptor, mode) == 0 ? 0 : errno
        let bytes = Array(text.utf8)
        if code == 0, Glibc.write(descriptor, bytes, bytes.count) != bytes.count { code = errno == 0 ? ENOSPC : errno }
        if code == 0, fsync(descriptor) != 0, errno != EINVAL { code = errno }
        close(descriptor)
        guard code == 0 else {
            unlink(path)
            throw FileTreeError(path, code)
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
            throw UsageError("\(path) holds a secret key, which belongs to one process; name the file that ends in .pub")
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
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw UsageError("\(FileTreeError(path, errno))") }
        defer { close(descriptor) }
        // Of what was opened, not of what has the name a moment later.
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw UsageError("\(FileTreeError(path, errno))") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw UsageError("\(path) is not a file") }
        if isSecret {
            guard status.st_uid == geteuid() || status.st_uid == 0 else {
                throw UsageError("\(path) belongs to another user, who can read the secret key in it; make one of your own")
            }
            let mode = status.st_mode & 0o7777
            guard mode & 0o7177 == 0 else {
                let octal = String(mode, radix: 8)
                throw UsageError(
                    "\(path) has mode 0\(octal), but a secret key is for its owner alone: chmod 600 \(path)")
            }
        }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw UsageError("\(FileTreeError(path, errno))") }
        guard count < bytes.count else { throw UsageError("\(path) is too large for a file of keys") }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}

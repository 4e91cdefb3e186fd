import Files
import Glibc
import Wording

/// The key with which a server is asked, in a file of its own.
enum ServerKey {
    private static let mostBytes = 1 << 16

    /// The one word of a file that nobody but its owner may read.
    /// - Throws: `UsageError`, in which the key is not repeated.
    static func read(_ path: String, for key: String) throws -> String {
        let text: String
        do {
            // What is checked is what was opened, not what has the name a moment later.
            let file = try OpenFile.reading(path)
            let status = try file.status()
            guard status.st_uid == geteuid() || status.st_uid == 0 else {
                throw UsageError("\(key).key_file: \(path) belongs to another user; make one of your own")
            }
            guard status.st_mode & 0o7177 == 0 else {
                let mode = String(status.st_mode & 0o7777, radix: 8)
                throw UsageError(
                    "\(key).key_file: \(path) has mode 0\(mode), but a key is for its owner alone: chmod 600 \(path)")
            }
            text = String(decoding: try file.readAll(limit: mostBytes), as: UTF8.self)
        } catch let error as FileError {
            throw UsageError("\(key).key_file: \(error)")
        }
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 1, words[0].utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw UsageError("\(key).key_file: \(path) holds no key: one line of printable characters")
        }
        return String(words[0])
    }
}

import Files
import Hashing

/// The SHA-256 of files that are read in pieces.
enum FileDigest {
    static let piece = 1 << 20

    /// Size and SHA-256 of a file.
    static func of(_ path: String, name: String) throws(FileError) -> CopiedFile {
        let file = try OpenFile.reading(path, followsLinks: false)
        var hash = SHA256(), size: UInt64 = 0
        while true {
            let bytes = try file.read(count: piece)
            if bytes.isEmpty { break }
            hash.update(bytes)
            size += UInt64(bytes.count)
        }
        return CopiedFile(name: name, size: size, digest: hash.hexDigest)
    }

    /// SHA-256 of a part of a file, in hexadecimal digits.
    /// - Parameter whole: takes the bytes too.
    static func of(
        _ path: String, _ offset: UInt64, _ count: UInt64, whole: inout SHA256
    ) throws(FileError) -> String {
        let file = try OpenFile.reading(path, followsLinks: false)
        try file.seek(to: offset)
        var hash = SHA256(), left = count
        while left > 0 {
            let bytes = try file.read(count: Int(min(UInt64(piece), left)))
            if bytes.isEmpty { break }
            hash.update(bytes)
            whole.update(bytes)
            left -= UInt64(bytes.count)
        }
        return hash.hexDigest
    }

    /// What is wrong with the files of a copy that are in `folder`, in a few words; nil: they are as the list says.
    static func flaw(in folder: String, _ manifest: CopyManifest) -> String? {
        for file in manifest.files {
            do {
                let found = try of("\(folder)/\(file.name)", name: file.name)
                guard found.size == file.size else {
                    return "\(file.name) has \(found.size) bytes, not \(file.size)"
                }
                guard found.digest == file.digest else { return "\(file.name) has a wrong checksum" }
            } catch {
                return "\(file.name) cannot be read: \(error.reasonText)"
            }
        }
        return nil
    }
}

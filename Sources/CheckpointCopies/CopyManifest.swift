import Hashing

/// A file of a copy.
package struct CopiedFile: Sendable, Equatable {
    /// Its path within the copy.
    package var name: String
    package var size: UInt64
    /// SHA-256 in 64 lower-case hexadecimal digits.
    package var digest: String

    package init(name: String, size: UInt64, digest: String) {
        self.name = name
        self.size = size
        self.digest = digest
    }
}

/// The object `complete` of a copy: size, SHA-256 and name of every other file, one a line, and the SHA-256 of those
/// lines at the end. It is written last: a copy without it does not count.
package struct CopyManifest: Sendable, Equatable {
    package static let fileName = "complete"
    /// The folder in a copy with what the run had recorded when the copy was made.
    package static let recordsFolder = "records"
    /// The most bytes of the object, and files that it names.
    package static let mostBytes = 1 << 22
    private static let header = "opd checkpoint copy 1"

    package var files: [CopiedFile]

    package init(files: [CopiedFile]) { self.files = files }

    /// Whether both have the same checkpoint, whatever was recorded beside it.
    package func hasSameCheckpoint(as other: CopyManifest) -> Bool { checkpointFiles == other.checkpointFiles }

    private var checkpointFiles: [CopiedFile] { files.filter { !$0.name.hasPrefix("\(Self.recordsFolder)/") } }

    /// The bytes of the object.
    package var text: String {
        var text = Self.header + "\n"
        for file in files { text += "\(file.digest) \(file.size) \(file.name)\n" }
        return text + "\(Self.digest(text)) end\n"
    }

    /// Reads the object; nil when it is not whole, or names what is no plain path below its folder.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count <= Self.mostBytes else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.popLast() == "", let last = lines.popLast(), lines.first == Substring(Self.header),
            last == "\(Self.digest(lines.joined(separator: "\n") + "\n")) end"
        else { return nil }
        var files: [CopiedFile] = [], names: Set<Substring> = [Substring(Self.fileName)]
        var total: UInt64 = 0
        for line in lines.dropFirst() {
            let parts = line.split(separator: " ", omittingEmptySubsequences: false)
            guard parts.count == 3, Self.isDigest(parts[0]), let size = UInt64(parts[1]), size <= UInt64(Int64.max),
                PlaceAddress.isPlain(parts[2]), names.insert(parts[2]).inserted
            else { return nil }
            let (sum, overflow) = total.addingReportingOverflow(size)
            guard !overflow else { return nil }
            total = sum
            files.append(CopiedFile(name: String(parts[2]), size: size, digest: String(parts[0])))
        }
        guard !files.isEmpty else { return nil }
        self.files = files
    }

    private static func isDigest(_ text: Substring) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    private static func digest(_ text: String) -> String {
        var hash = SHA256()
        hash.update(Array(text.utf8))
        return hash.hexDigest
    }
}

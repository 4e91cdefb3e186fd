import Files
import Wording

/// The file `manifest` of a checkpoint: size, CRC-32 and name of every other file in it, one a line, and the CRC-32 of
/// those lines at the end.
///
/// A rename makes a checkpoint whole or not there; the manifest tells what happened to it afterwards: a bad disk, a
/// copy that was cut off, a file that somebody removed.
package struct CheckpointManifest {
    package static let fileName = "manifest"
    private static let header = "opd checkpoint manifest 1"

    /// Lists what is in a folder and writes the manifest into it, without putting it on disk.
    static func write(into folder: String) throws(FileError) {
        var text = header + "\n"
        for name in try files(in: folder, below: "") {
            let (size, checksum) = try FileTree.checksum("\(folder)/\(name)")
            text += "\(hex(checksum)) \(size) \(name)\n"
        }
        text += "\(hex(checksum(text))) end\n"
        try FileTree.write(text, to: "\(folder)/\(fileName)")
    }

    /// What is wrong with the checkpoint in `folder`, in a few words that begin with a file's name; nil when every
    /// file is as it was written. Reads all of it.
    package static func flaw(in folder: String) -> String? {
        guard FileTree.kind("\(folder)/\(fileName)") == .other else { return "\(fileName) is missing" }
        let text: String
        do { text = try FileTree.read("\(folder)/\(fileName)", limit: 1 << 20) } catch {
            return "\(fileName) cannot be read: \(error.reasonText)"
        }
        guard let entries = entries(of: text) else { return "\(fileName) is damaged" }
        for entry in entries {
            guard isPlain(entry.name) else { return "\(fileName) names a file outside the checkpoint" }
            // No part of a name may be a link: what it leads to is not part of the checkpoint.
            var path = folder
            let parts = entry.name.split(separator: "/")
            for (index, part) in parts.enumerated() {
                path += "/\(part)"
                switch FileTree.kind(path) {
                case .missing: return "\(entry.name) is missing"
                case .link: return "\(entry.name) is a link"
                case .folder: if index == parts.count - 1 { return "\(entry.name) is a folder" }
                case .other: if index < parts.count - 1 { return "\(entry.name) is missing" }
                }
            }
            do {
                // The size alone tells of a cut-off file, without reading it.
                let size = try FileTree.size(path)
                guard size == entry.size else { return "\(entry.name) has \(size) bytes, not \(entry.size)" }
                guard try FileTree.checksum(path).crc32 == entry.checksum else {
                    return "\(entry.name) has a wrong checksum"
                }
            } catch {
                return "\(entry.name) cannot be read: \(error.reasonText)"
            }
        }
        return nil
    }

    /// The names of all files that a checkpoint lists, those in folders with a path; none when the manifest is not whole.
    package static func fileNames(in folder: String) -> [String] {
        let text = (try? FileTree.read("\(folder)/\(fileName)", limit: 1 << 20)) ?? ""
        return entries(of: text)?.map(\.name) ?? []
    }

    private struct Entry {
        var name: String
        var size: UInt64
        var checksum: UInt32
    }

    /// The entries of a manifest; nil when it is not whole.
    private static func entries(of text: String) -> [Entry]? {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.popLast() == "", let last = lines.popLast(), lines.first == Substring(header) else { return nil }
        let listed = lines.joined(separator: "\n") + "\n"
        guard last == "\(hex(checksum(listed))) end" else { return nil }
        var entries: [Entry] = []
        for line in lines.dropFirst() {
            let parts = line.split(separator: " ", maxSplits: 2)
            guard parts.count == 3, let checksum = UInt32(parts[0], radix: 16), let size = UInt64(parts[1]) else {
                return nil
            }
            entries.append(Entry(name: String(parts[2]), size: size, checksum: checksum))
        }
        return entries
    }

    /// Whether a name leads to something below the checkpoint's folder.
    private static func isPlain(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return !parts.isEmpty && parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
    }

    /// Names of all files, those in folders with a path, sorted.
    private static func files(in folder: String, below prefix: String) throws(FileError) -> [String] {
        var files: [String] = []
        for name in try FileTree.names(in: folder) {
            let path = "\(folder)/\(name)"
            switch FileTree.kind(path) {
            case .folder: files += try Self.files(in: path, below: "\(prefix)\(name)/")
            case .other: if prefix + name != fileName { files.append(prefix + name) }
            // A link has no bytes of its own that could be damaged, and none is ever written.
            case .link, .missing: break
            }
        }
        return files
    }

    private static func checksum(_ text: String) -> UInt32 { Array(text.utf8).withUnsafeBytes { crc32($0) } }

    private static func hex(_ value: UInt32) -> String { value.padded(to: 8, radix: 16) }
}

import Files
import Glibc
import RunFiles
import Telemetry

/// Where the result of a command goes: into a file that is there whole or not at all, to a device or a pipe, or to
/// standard output, which `-` names.
struct ResultOutput {
    private enum Place {
        case file(String)
        /// What is written from its beginning on, such as `/dev/null`.
        case stream(String)
        case standardOutput
    }

    private let place: Place
    /// As a person has named it.
    private let name: String

    /// - Parameters:
    ///   - given: what a person has asked for; nil: `name` in the first folder.
    ///   - folders: of the runs that the command reads, whose own files it must not replace.
    ///   - what: what is written, such as "page".
    /// - Throws: `CommandError` for a folder, a link that leads nowhere, and a run's own file.
    init(
        _ given: String?, or name: String, of folders: [RunFolder], _ what: String
    ) throws(CommandError) {
        let output = given ?? "\(folders[0].path)/\(name)"
        self.name = output
        if given == "-" {
            place = .standardOutput
            return
        }
        let ending = name.split(separator: ".").last ?? ""
        let advice = "give the \(what) a name with -o FILE.\(ending)"
        var status = stat()
        let isThere = stat(output, &status) == 0
        guard !isThere || status.st_mode & S_IFMT != S_IFDIR, !output.hasSuffix("/") else {
            throw .usage("\(output) is a folder; \(advice)")
        }
        guard isThere || FileTree.kind(output) != .link else {
            throw .usage("\(output) is a link that leads nowhere; \(advice)")
        }
        if isThere, status.st_mode & S_IFMT != S_IFREG {
            place = .stream(output)
            return
        }
        // Of a link its file is replaced, not the link.
        guard let target = isThere ? Self.real(output) : Self.realPlace(ofNew: output) else {
            // Whoever writes says why not.
            place = .file(output)
            return
        }
        for folder in folders {
            guard let run = Self.real(folder.path), target.hasPrefix("\(run)/") else { continue }
            let own = String(target.dropFirst(run.count + 1).prefix { $0 != "/" })
            guard !RunFolder.makes(own) else {
                throw .usage("\(output) is a file of the run in \(folder.path), which is left as it is; \(advice)")
            }
        }
        place = .file(isThere ? target : output)
    }

    /// Writes the result, piece by piece.
    func write(_ make: (_ append: (_ bytes: [UInt8]) throws -> Void) throws -> Void) throws {
        switch place {
        case .file(let path):
            var file = try AtomicFile(path)
            try make { try file.append($0) }
            try file.commit()
        case .stream(let path):
            let file = try OpenFile(path, .writeOnly, attempt: .openForWriting)
            try make { try file.write($0) }
        case .standardOutput:
            try make { try StandardOutput.shared.write($0) }
        }
    }

    func write(_ text: String) throws { try write { try $0(Array(text.utf8)) } }

    /// Says what was written: on standard output, unless the result is there.
    func announce(_ text: String) throws {
        switch place {
        case .file, .stream: try StandardOutput.shared.writeLine("\(RunLogHandler.oneLine(name)): \(text)")
        case .standardOutput: printToStandardError(text)
        }
    }

    private static func real(_ path: String) -> String? {
        guard let found = realpath(path, nil) else { return nil }
        defer { free(found) }
        return String(cString: found)
    }

    /// Where a file is that is not there yet; nil where its folder is not there either.
    private static func realPlace(ofNew path: String) -> String? {
        guard let folder = real(FileTree.parent(of: path)), let name = path.split(separator: "/").last else {
            return nil
        }
        return "\(folder == "/" ? "" : folder)/\(name)"
    }
}

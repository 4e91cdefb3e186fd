import Files
import Locking
import Supervision

/// A folder of another machine, reached by the user's own ssh: its configuration, keys, agent and known hosts.
///
/// Files go by rsync; where that is missing on either machine, by sftp. What is asked there needs a POSIX shell and
/// `sha256sum`. Names are plain (``PlaceAddress``), so that nothing is quoted.
package final class SSHPlace: CopyPlace {
    private let user: String?
    private let host: String
    private let port: Int?
    private let folder: String
    private let runner = ToolRunner()
    /// Whether rsync is on both machines; nil: not asked yet.
    private let hasRsync = Locked<Bool?>(nil)
    package let name: String

    /// How long a question, and how long the files of a copy may take.
    private static let askSeconds = 120.0, copySeconds = 86_400.0
    /// Never a question at a terminal, and never a silence without end.
    private static let options = [
        "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4",
    ]

    /// - Parameters: as of ``PlaceAddress/ssh(user:host:port:path:)``.
    package init(user: String?, host: String, port: Int?, path: String) {
        self.user = user
        self.host = host
        self.port = port
        folder = path.hasPrefix("/") ? path : "./\(path)"
        name = PlaceAddress.ssh(user: user, host: host, port: port, path: path).text
    }

    private var target: String { (user.map { "\($0)@" } ?? "") + host }

    package func list() throws(PlaceError) -> PlacedCopies {
        let outcome = try ask(
            "if cd \(folder) 2>/dev/null; then for n in step-* \(PlacedCopies.partialPrefix)* \(PlacedCopies.replacedPrefix)*; do if [ -d $n ]; then "
                + "if [ -f $n/\(CopyManifest.fileName) ]; then echo $n whole; else echo $n part; fi; fi; done; "
                + "elif [ -e \(folder) ]; then echo not a folder that can be entered >&2; exit 1; fi")
        var copies = PlacedCopies()
        for line in String(decoding: outcome.output, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 2 else {
                throw PlaceError(name, "its shell answers with more than was asked: '\(line)'")
            }
            copies.add(String(words[0]), isComplete: words[1] == "whole")
        }
        return copies
    }

    package func read(_ path: String, limit: Int) throws(PlaceError) -> [UInt8]? {
        let path = "\(folder)/\(path)"
        // A byte of its own before the object tells an empty object from none.
        let outcome = try ask("if [ -f \(path) ]; then printf +; cat \(path); else printf -; fi", limit: limit + 1)
        switch outcome.output.first {
        case UInt8(ascii: "+"): return Array(outcome.output.dropFirst())
        case UInt8(ascii: "-") where outcome.output.count == 1: return nil
        default: throw PlaceError(name, "its shell answers with more than was asked")
        }
    }

    package func write(_ bytes: [UInt8], to path: String) throws(PlaceError) {
        let path = "\(folder)/\(path)"
        try ask("mkdir -p \(folder) && cat > \(path).new && mv -f \(path).new \(path)", input: bytes)
    }

    package func delete(_ path: String) throws(PlaceError) { try ask("rm -f \(folder)/\(path)") }

    package func put(_ source: String, as name: String, _ manifest: CopyManifest) throws(PlaceError) {
        let partial = "\(folder)/\(PlacedCopies.partialPrefix)\(name)", final = "\(folder)/\(name)"
        let replaced = "\(folder)/\(PlacedCopies.replacedPrefix)\(name)"
        let folders = Set(manifest.files.map { FileTree.parent(of: "\(partial)/\($0.name)") }).sorted()
        // What an attempt that was cut off has left there is gone on with by rsync alone.
        let usesRsync = try findRsync()
        try ask("\(usesRsync ? "" : "rm -rf \(partial); ")mkdir -p \(folders.joined(separator: " "))")
        if usesRsync {
            try rsync(["--delete"], ["\(Self.local(source))/", "\(target):\(partial)/"])
        } else {
            try sftp(manifest.files.map { "put \"\(Self.local(source))/\($0.name)\" \(partial)/\($0.name)" })
        }
        let list = manifest.files.map { "\($0.digest)  \($0.name)\n" }.joined()
        do {
            try ask("cd \(partial) && sha256sum -c --quiet - >&2", input: Array(list.utf8), within: Self.copySeconds)
        } catch {
            throw PlaceError(self.name, "\(name) has not arrived as it was: \(error.message)")
        }
        try write(Array(manifest.text.utf8), to: "\(PlacedCopies.partialPrefix)\(name)/\(CopyManifest.fileName)")
        // At every moment there is a whole one: the copy that was there counts under the other name too.
        try ask(
            "sync; if [ -f \(final)/\(CopyManifest.fileName) ]; then rm -rf \(replaced) && mv \(final) \(replaced); "
                + "else rm -rf \(final); fi && mv \(partial) \(final) && rm -rf \(replaced)", within: Self.copySeconds)
    }

    package func sizes(of name: String, _ manifest: CopyManifest) throws(PlaceError) -> [String: UInt64] {
        let outcome = try ask("cd \(folder)/\(name) && find . -type f -exec wc -c {} \\;")
        var sizes: [String: UInt64] = [:]
        for line in String(decoding: outcome.output, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 2, let size = UInt64(words[0]), words[1].hasPrefix("./") else { continue }
            sizes[String(words[1].dropFirst(2))] = size
        }
        return sizes
    }

    package func get(_ name: String, _ manifest: CopyManifest, into target: String) throws(PlaceError) {
        do throws(FileError) {
            for file in manifest.files { try FileTree.createFolder(FileTree.parent(of: "\(target)/\(file.name)")) }
        } catch { throw PlaceError(self.name, "\(error)") }
        if try findRsync() {
            // Nothing but what is listed: what else may lie there is not wanted here.
            let list = Array(manifest.files.map { "\($0.name)\n" }.joined().utf8)
            try rsync(
                ["--files-from=-"], ["\(self.target):\(folder)/\(name)/", "\(Self.local(target))/"], input: list)
        } else {
            try sftp(manifest.files.map { "get \(folder)/\(name)/\($0.name) \"\(Self.local(target))/\($0.name)\"" })
        }
    }

    package func remove(_ name: String) throws(PlaceError) {
        let path = "\(folder)/\(name)"
        // What is half gone must not look whole.
        try ask("rm -f \(path)/\(CopyManifest.fileName) && rm -rf \(path)", within: Self.copySeconds)
    }

    package func stop() { runner.stop() }

    // MARK: Programs

    /// A path of this machine that no program takes for an option or a host.
    private static func local(_ path: String) -> String { path.hasPrefix("/") ? path : "./\(path)" }

    private func findRsync() throws(PlaceError) -> Bool {
        if let known = hasRsync.withLock({ $0 }) { return known }
        var isThere = runner.run("rsync", ["--version"], within: Self.askSeconds)?.status == 0
        if isThere {
            let answer = try ask("if command -v rsync >/dev/null; then echo yes; else echo no; fi")
            isThere = answer.output.starts(with: Array("yes".utf8))
        }
        hasRsync.withLock { [isThere] in $0 = isThere }
        return isThere
    }

    /// Has the shell there do something.
    @discardableResult
    private func ask(
        _ command: String, input: [UInt8] = [], limit: Int = 1 << 20, within seconds: Double = askSeconds
    ) throws(PlaceError) -> ToolRunner.Outcome {
        let port = port.map { ["-p", "\($0)"] } ?? []
        // Whatever shell the user has there, this one reads the command.
        let arguments = Self.options + port + [target, "exec sh -c '\(command)'"]
        return try check(
            "ssh", runner.run("ssh", arguments, input: input, limit: limit, within: seconds), limit: limit)
    }

    private func rsync(_ options: [String], _ paths: [String], input: [UInt8] = []) throws(PlaceError) {
        let ssh = ["ssh"] + Self.options + (port.map { ["-p", "\($0)"] } ?? [])
        let words = RsyncCommand.words(over: ssh, ["--partial"] + options, paths)
        try check(
            words[0], runner.run(words[0], Array(words.dropFirst()), input: input, within: Self.copySeconds))
    }

    private func sftp(_ lines: [String]) throws(PlaceError) {
        let port = port.map { ["-P", "\($0)"] } ?? []
        // `-S ssh`: that of the search path, as everywhere else.
        let arguments = ["-q", "-S", "ssh", "-b", "-"] + Self.options + port + [target]
        let input = Array(lines.joined(separator: "\n").utf8) + [UInt8(ascii: "\n")]
        try check("sftp", runner.run("sftp", arguments, input: input, within: Self.copySeconds))
    }

    @discardableResult
    private func check(
        _ program: String, _ outcome: ToolRunner.Outcome?, limit: Int = 1 << 20
    ) throws(PlaceError) -> ToolRunner.Outcome {
        guard let outcome else { throw PlaceError(name, "\(program) cannot be started, or was ended") }
        guard outcome.output.count <= limit else {
            throw PlaceError(name, "what \(program) answers has more than \(limit) bytes")
        }
        guard outcome.status == 0 else {
            let why = outcome.complaint.isEmpty ? "status \(outcome.status)" : outcome.complaint
            throw PlaceError(name, "\(program): \(why)")
        }
        return outcome
    }
}

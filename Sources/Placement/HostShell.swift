import Files
import Glibc
import Locking
import Supervision
import Wording

/// A machine cannot be reached, or did not do what it was told; one line that names it.
package struct HostError: MessageError, Equatable {
    package let host: String
    package let message: String
    init(_ host: String, _ message: String) {
        self.host = host
        self.message = "\(host): \(message)"
    }
}

/// Runs scripts on machines and copies files to them, by the user's own ssh and rsync.
///
/// A machine's connection is made once and used again by what follows (ssh's control master), and let go with ``close()``.
/// Nothing asks for a password: many machines are talked to at once.
package struct HostShell: Sendable {
    /// A machine, and how it is reached; nil: it is this one.
    package struct Address: Sendable, Hashable {
        package var host: String
        package var ssh: String?

        package init(host: String, ssh: String?) {
            self.host = host
            self.ssh = ssh
        }
    }

    /// Folder of this command's own: connections, and what programs print.
    private let scratch: String
    private let count = Locked(0)
    private let connected = Locked<Set<Address>>([])

    package init() throws(FileError) {
        // Short, for a socket's path has 108 bytes, and without white space, at which rsync would part ssh's options.
        var template = Array("/tmp/opd-up-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) != nil }
        guard made else { throw FileError("/tmp", code: errno) }
        scratch = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Ends the connections and removes what this made.
    package func close() async {
        for address in connected.withLock({ $0 }) {
            guard let ssh = address.ssh else { continue }
            _ = await run(["ssh"] + options + ["-O", "exit", "--", ssh], input: "", limit: .seconds(5))
        }
        try? FileTree.remove(scratch)
    }

    private var options: [String] {
        [
            "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o",
            "ServerAliveCountMax=3", "-o", "ControlMaster=auto", "-o", "ControlPath=\(scratch)/%C", "-o",
            "ControlPersist=60",
        ]
    }

    /// Runs a script there and reads its report.
    package func run(
        _ script: HostScript, on address: Address, limit: Duration = .seconds(60)
    ) async throws(HostError) -> HostReport {
        var words = ["sh", "-s"]
        if let ssh = address.ssh {
            words = ["ssh"] + options + ["-T", "--", ssh, "sh -s"]
            connected.withLock { _ = $0.insert(address) }
        }
        let result = await run(words, input: script.text, limit: limit)
        do { return try HostReport(text: result.output) } catch {
            throw HostError(
                address.host, failure(result, limit, what: address.ssh == nil ? "sh" : "ssh") ?? error.message)
        }
    }

    /// Brings a file, or the content of a folder, to a path there, where they are not the same bytes already.
    package func copy(
        _ item: PlacedFile, to layout: HostLayout, on address: Address, limit: Duration = .seconds(24 * 3600)
    ) async throws(HostError) {
        guard let ssh = address.ssh else { return }
        connected.withLock { _ = $0.insert(address) }
        // Links are followed: caches of models are made of them. Keys are among what is copied.
        let modes = "--chmod=\(item.use == .program ? "D700,F700" : "D700,F600")"
        let slash = item.isFolder ? "/" : ""
        let path = layout.folder.appendingPath(item.place)
        let words = RsyncCommand.words(
            over: ["ssh"] + self.options, ["-L", "-p", modes] + (item.isFolder ? ["--delete"] : []),
            [item.source + slash, "\(ssh):\(path)\(slash)"])
        let result = await run(words, input: "", limit: limit)
        if let failure = failure(result, limit, what: "rsync") {
            throw HostError(address.host, "\(item.source) could not be copied: \(failure)")
        }
    }

    /// The libraries that a program of this machine is loaded with, by their names.
    package func libraries(of program: String) async -> [String: String] {
        let result = await run(["ldd", program], input: "", limit: .seconds(30))
        var found: [String: String] = [:]
        for line in result.output.split(separator: "\n") {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.count >= 3, words[1] == "=>", words[2].hasPrefix("/") else { continue }
            found[String(words[0])] = String(words[2])
        }
        return found
    }

    private struct Result: Sendable {
        var status: ChildStatus
        var output = ""
        var errors = ""
        var isLate = false
    }

    private func failure(_ result: Result, _ limit: Duration, what: String) -> String? {
        if result.isLate { return "\(what) did not end within \(limit.shortSeconds) s" }
        if result.status == .exited(0) { return nil }
        // ssh says last what it died of; what it was told before is a greeting.
        let line = result.errors.split(separator: "\n").last { !$0.allSatisfy(\.isWhitespace) }
        let said = line.map {
            String($0.trimmed.unicodeScalars.filter { !$0.isControl }.map(Character.init).prefix(300))
        }
        switch result.status {
        case .notStarted(let reason): return "\(what) could not be started: \(reason); install it"
        case .exited(255): return said.map { $0.hasPrefix("ssh: ") ? $0 : "ssh: \($0)" } ?? "ssh: it cannot be reached"
        default: return "\(what) \(result.status)" + (said.map { ": \($0)" } ?? "")
        }
    }

    /// Most of a program's output that is read.
    private static let outputLimit = 8 << 20

    private func run(_ words: [String], input: String, limit: Duration) async -> Result {
        let number = count.withLock { count in
            count += 1
            return count
        }
        let files = ["in", "out", "err"].map { "\(scratch)/\(number).\($0)" }
        defer { for file in files { try? FileTree.remove(file) } }
        let source: OpenFile
        do {
            try FileTree.create(input, at: files[0], permissions: .ownerReadWrite)
            source = try OpenFile.reading(files[0])
        } catch { return Result(status: .notStarted("\(error)")) }
        var spec = ProcessSpec(
            name: words[0], role: .member, executable: ProcessSpec.path(of: words[0]), arguments: [], logPath: files[1])
        spec.errorPath = files[2]
        spec.input = source.descriptor.rawValue
        // In a group of its own it would not hear of a Ctrl-C, and copy on.
        spec.endsWithParent = true
        var result = await Self.wait(for: spec, Array(words.dropFirst()), limit)
        withExtendedLifetime(source) {}
        result.output = (try? FileTree.read(files[1], limit: Self.outputLimit)) ?? ""
        result.errors = (try? FileTree.read(files[2], limit: Self.outputLimit)) ?? ""
        return result
    }

    /// Runs a child to its end, or until its time is over or this task is cancelled.
    private static func wait(for spec: ProcessSpec, _ arguments: [String], _ limit: Duration) async -> Result {
        if Task.isCancelled { return Result(status: .notStarted("this command was told to end")) }
        let running = Locked<RunningChild?>(nil)
        let isLate = Locked(false), isCancelled = Locked(false)
        let timer = Task {
            try? await Task.sleep(for: limit)
            if !Task.isCancelled { isLate.withLock { $0 = true } }
            if !Task.isCancelled { running.withLock { $0 }?.send(SIGKILL) }
        }
        let status = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                RunningChild.start(
                    spec, arguments: arguments,
                    started: { child in
                        running.withLock { $0 = child }
                        if isCancelled.withLock({ $0 }) { child.send(SIGKILL) }
                    },
                    ended: { continuation.resume(returning: $0) })
            }
        } onCancel: {
            isCancelled.withLock { $0 = true }
            running.withLock { $0 }?.send(SIGKILL)
        }
        timer.cancel()
        return Result(status: status, isLate: isLate.withLock { $0 })
    }
}

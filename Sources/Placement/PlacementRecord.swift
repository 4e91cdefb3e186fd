import Files
import Glibc
import JSON
import RunFiles
import Wording

/// What was started where: kept beside the run's folder on the machine that starts things, in `RUN.hosts/hosts.json`.
package struct PlacementRecord: Sendable, Equatable {
    package struct Host: Sendable, Equatable {
        /// What ssh is given; nil: this machine.
        package var ssh: String?
        package var folder: String
        /// Number of the keys that were made for it.
        package var key: Int
        /// Whether its processes were ended by themselves, so that a command that watches starts none there.
        package var isPaused = false

        package init(ssh: String?, folder: String, key: Int) {
            self.ssh = ssh
            self.folder = folder
            self.key = key
        }
    }

    package var name: String
    /// Tells the run from others of its name that were placed from elsewhere; empty in records of earlier versions.
    package var id = UInt64.random(in: 1 ... .max).padded(to: 16, radix: 16)
    /// The run's folder, below the learner's folder unless it begins with `/`.
    package var runFolder: String
    /// The learner's machine.
    package var learner: String
    /// Whether the learner was ever started.
    package var hasBegun = false
    /// Machines that may have something of the run.
    package var hosts: [String: Host] = [:]
    /// Keys were given to this many machines.
    package var keysGiven = 1

    package init(name: String, runFolder: String, learner: String) {
        self.name = name
        self.runFolder = runFolder
        self.learner = learner
    }

    /// What the run is called on machines.
    package var nameThere: String { id.isEmpty ? name : "\(name)-\(id)" }

    /// The folder of records of the run with this folder.
    package static func folder(of run: String) -> String { RunFolder(run).path + ".hosts" }

    private static func file(_ folder: String) -> String { folder.appendingPath("hosts.json") }

    package static func exists(in folder: String) -> Bool { FileTree.hasContent(file(folder)) }

    package func write(to folder: String) throws(FileError) { try FileTree.write(json + "\n", to: Self.file(folder)) }

    /// Reads a record.
    /// - Throws: ``UsageError`` where there is none, or it is damaged.
    package static func read(from folder: String) throws(UsageError) -> PlacementRecord {
        let text: String
        do { text = try FileTree.read(file(folder), limit: 1 << 20) } catch {
            throw UsageError("\(error); 'opd up' writes it")
        }
        do { return try PlacementRecord(json: text) } catch {
            throw UsageError("\(file(folder)) is damaged: \(error)")
        }
    }

    package var json: String {
        let hosts = hosts.sorted { $0.key < $1.key }.map { name, host in
            JSONText.object([
                ("name", JSONText.string(name)), ("ssh", host.ssh.map { JSONText.string($0) } ?? "null"),
                ("folder", JSONText.string(host.folder)), ("key", "\(host.key)"),
                ("paused", "\(host.isPaused)"),
            ])
        }
        return JSONText.object([
            ("name", JSONText.string(name)), ("id", JSONText.string(id)),
            ("run_folder", JSONText.string(runFolder)), ("learner", JSONText.string(learner)), ("begun", "\(hasBegun)"),
            ("keys_given", "\(keysGiven)"),
            ("hosts", "[" + hosts.joined(separator: ", ") + "]"),
        ])
    }

    package init(json: String) throws(JSONFieldError) {
        let fields = try JSONFields(Array(json.utf8))
        self.init(
            name: try fields.string("name"), runFolder: try fields.string("run_folder"),
            learner: try fields.string("learner"))
        id = fields.has("id") ? try fields.string("id") : ""
        guard id.isEmpty || HostsFile.isName(id, of: "", limit: 16) else {
            throw JSONFieldError(description: "its id is none that 'opd up' makes")
        }
        hasBegun = try fields.bool("begun")
        keysGiven = try fields.integer("keys_given")
        for host in try fields.list("hosts") {
            let (name, ssh) = (try host.string("name"), host.has("ssh") ? try host.string("ssh") : nil)
            // It is not only this program that can write here: nothing else than a name is given to ssh.
            guard HostsFile.isName(name, of: "._-", limit: 64),
                ssh.map({ HostsFile.isName($0, of: "._-@%", limit: 255) }) ?? true
            else { throw JSONFieldError(description: "it has a host that 'opd up' would not take") }
            hosts[name] = Host(ssh: ssh, folder: try host.string("folder"), key: try host.integer("key"))
            hosts[name]?.isPaused = host.has("paused") ? try host.bool("paused") : false
        }
    }

    /// Keeps other commands from this record, until the lock is let go or the process ends.
    /// - Parameter patience: how long another command's end is waited for.
    package static func lock(_ folder: String, patience: Duration = .seconds(120)) async throws -> OpenFile {
        let file: OpenFile
        do { file = try OpenFile(folder, .readOnly, .directory) } catch { throw UsageError("\(error)") }
        let deadline = ContinuousClock.now + patience
        while flock(file.descriptor.rawValue, LOCK_EX | LOCK_NB) != 0 {
            guard ContinuousClock.now < deadline else { throw PlacementBusy(patience: patience) }
            try await Task.sleep(for: .milliseconds(100))
        }
        return file
    }
}

/// Another command is at work for the run.
package struct PlacementBusy: MessageError, Equatable {
    package let message: String
    init(patience: Duration) {
        message =
            "another 'opd up' or 'opd down' has been at work for this run for \(patience.shortSeconds) s; wait for it to end"
    }
}

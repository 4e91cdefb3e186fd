import Configuration
import Files
import Glibc

/// A file or a folder that a machine needs.
package struct PlacedFile: Sendable, Equatable {
    package enum Use: Sendable { case program, library, model, key, settings }

    /// Its path here, from the root.
    package var source: String
    /// Its path there, below the project's folder.
    package var place: String
    package var use: Use

    package var isFolder: Bool { FileTree.leadsToFolder(source) }

    package init(source: String, place: String, use: Use) {
        self.source = source
        self.place = place
        self.use = use
    }

    /// Bytes of it, of what links lead to as well; folders deeper than any model's are not looked into.
    package var byteCount: Int { Self.byteCount(source, depth: 8) }

    private static func byteCount(_ path: String, depth: Int) -> Int {
        var status = stat()
        guard depth > 0, stat(path, &status) == 0 else { return 0 }
        guard status.st_mode & S_IFMT == S_IFDIR else { return Int(status.st_size) }
        let names = (try? FileTree.names(in: path)) ?? []
        return names.reduce(0) { $0 + byteCount("\(path)/\($1)", depth: depth - 1) }
    }
}

/// The keys of a run as files of this machine, for one machine and what it does; nil: it does not need that one.
package struct HostKeys: Sendable, Equatable {
    package var learner: String?
    package var learnerPublic: String?
    package var rollout: String?
    package var scorer: String?
    package var rolloutClients: String?
    package var scorerClients: String?
    package var relayClients: String?
    package init() {}
}

/// What one machine is given: the run's configuration with the paths of that machine, and the files that it names.
package struct HostFiles: Sendable {
    package private(set) var configuration: RunConfiguration
    package private(set) var files: [PlacedFile] = []

    /// - Parameters:
    ///   - processes: those that run there.
    ///   - keys: what it gets of the run's keys; nil: the run has none.
    ///   - directory: the folder that relative paths start from, itself from the root.
    package init(
        _ configuration: RunConfiguration, _ processes: [PlacedProcess], _ layout: HostLayout, keys: HostKeys?,
        directory: String
    ) {
        self.configuration = configuration
        let labels = configuration.teachers.keys.sorted()
        for key in ConfigurationSchema.keys {
            guard case .path(let use) = key.kind, !key.path.hasPrefix("security.") else { continue }
            for label in key.path.contains("*") ? labels : [""] {
                guard case .text(let path) = key.read(configuration, label), !path.isEmpty else { continue }
                let source = path.hasPrefix("/") ? path : directory.appendingPath(path)
                let place = layout.place(of: source)
                key.write(&self.configuration, label, .text(place))
                guard Self.isNeeded(key.path, use, label, configuration, processes) else { continue }
                add(PlacedFile(source: source, place: place, use: key.path.hasSuffix("key_file") ? .key : .model))
            }
        }
        self.configuration.security = .init()
        guard let keys else { return }
        func place(_ path: String?, _ name: String, isSecret: Bool = false) -> String? {
            guard let path else { return nil }
            let source = path.hasPrefix("/") ? path : directory.appendingPath(path)
            guard !layout.isHere else { return source }
            add(PlacedFile(source: source, place: layout.key(name), use: isSecret ? .key : .settings))
            return layout.key(name)
        }
        self.configuration.security.learnerKey = place(keys.learner, "learner.key", isSecret: true)
        self.configuration.security.learnerPublicKey = place(keys.learnerPublic, "learner.pub")
        self.configuration.security.rolloutKey = place(keys.rollout, "rollout.key", isSecret: true)
        self.configuration.security.scorerKey = place(keys.scorer, "scorer.key", isSecret: true)
        self.configuration.security.rolloutClients = place(keys.rolloutClients, "rollout.clients")
        self.configuration.security.scorerClients = place(keys.scorerClients, "scorer.clients")
        self.configuration.security.relayClients = place(keys.relayClients, "relay.clients")
    }

    private mutating func add(_ file: PlacedFile) {
        if !files.contains(file) { files.append(file) }
    }

    /// Whether one of the processes opens the file that a key of the configuration names.
    private static func isNeeded(
        _ key: String, _ use: FileUse, _ label: String, _ configuration: RunConfiguration,
        _ processes: [PlacedProcess]
    ) -> Bool {
        processes.contains { process in
            switch process.role {
            case .learner:
                // It looks at teachers' tokenizers, and at teachers only where they answer the held-out prompts.
                !key.hasSuffix("key_file")
                    && (use != .teachers || key == "teachers.*.tokenizer" || configuration.evaluation.teachers)
            case .rollout(nil): key.hasPrefix("student.") || key.hasPrefix("rollout.")
            case .rollout(let teacher?): use == .teachers && label == teacher
            case .scorer(let teacher):
                (use == .teachers && label == teacher)
                    || (key == "student.model" && configuration.refreshes[teacher] != nil)
            }
        }
    }
}

import Yams

/// Walks a YAML tree along the schema, collecting values and problems.
struct ConfigurationReader {
    let source: String
    var configuration = RunConfiguration()
    var problems: [ConfigurationError.Problem] = []

    /// The source and line where each key was set, to which problems found later refer.
    private var places: [String: (source: String, line: Int?)] = [:]
    /// Keys whose value was refused: they are not also missing.
    private var refused: Set<String> = []
    private var currentSource: String
    private var isSyntaxBroken = false

    init(source: String) {
        self.source = source
        currentSource = source
    }

    var sortedProblems: [ConfigurationError.Problem] {
        problems.enumerated().sorted {
            ($0.element.source == source ? 0 : 1, $0.element.line ?? 0, $0.offset)
                < ($1.element.source == source ? 0 : 1, $1.element.line ?? 0, $1.offset)
        }.map(\.element)
    }

    mutating func readFile(_ text: String) {
        if let flaw = Self.excess(in: text) {
            isSyntaxBroken = true
            return report(nil, "", flaw)
        }
        do {
            guard let root = try Yams.compose(yaml: text) else {
                report(nil, "", "is empty")
                isSyntaxBroken = true
                return
            }
            guard case .mapping = root else {
                report(root, "", "expected sections such as 'student:' and 'training:'")
                isSyntaxBroken = true
                return
            }
            walk(root, at: [])
        } catch let error as YamlError {
            isSyntaxBroken = true
            reportSyntax(error)
        } catch {
            isSyntaxBroken = true
            report(nil, "", "cannot be parsed: \(error)")
        }
    }

    /// `key.path=value`, checked like the same key in the file.
    mutating func readOverride(_ text: String) {
        currentSource = "--set"
        defer { currentSource = source }
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
            problems.append(.init(source: "--set", message: "'\(text)': expected key.path=value"))
            return
        }
        let path = text[..<equals].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        do {
            let value = String(text[text.index(after: equals)...])
            guard Self.excess(in: value) == nil else { throw Refusal(message: "") }
            var node = try Yams.compose(yaml: value) ?? Node("")
            for name in path.reversed() { node = Node([(Node(name), node)]) }
            walk(node, at: [], isOverride: true)
        } catch {
            let value = text[text.index(after: equals)...]
            problems.append(
                .init(source: "--set", key: path.joined(separator: "."), message: "'\(value)' is not a YAML value"))
        }
    }

    /// Bytes of a configuration file: some pages of text, not a file given by mistake.
    static let maximumByteCount = 1 << 20
    /// Each alias may hold others, which the parser follows when it compares keys: a few dozen are a day's work.
    static let maximumAliasCount = 16
    /// Problems reported before reading stops.
    static let problemLimit = 50

    /// Why a text is not worth parsing.
    private static func excess(in text: String) -> String? {
        let count = text.utf8.count
        guard count <= maximumByteCount else {
            return "has \(count) bytes, more than a configuration can have (\(maximumByteCount))"
        }
        var aliases = 0
        var before = UInt8(ascii: " ")
        var isComment = false
        var isStar = false
        for byte in text.utf8 {
            // An alias is *name where a value can begin; texts that hold such are rare enough to count along.
            if isStar, byte > UInt8(ascii: " "), !"*,[]{}".utf8.contains(byte) { aliases += 1 }
            let begins = " \t\r\n,[{".utf8.contains(before)
            isComment = byte != UInt8(ascii: "\n") && (isComment || (byte == UInt8(ascii: "#") && begins))
            isStar = byte == UInt8(ascii: "*") && begins && !isComment
            before = byte
        }
        return aliases <= maximumAliasCount ? nil : "has \(aliases) aliases (*name), more than \(maximumAliasCount)"
    }

    private mutating func walk(_ node: Node, at path: [String], isOverride: Bool = false) {
        let name = path.joined(separator: ".")
        if let (key, label) = ConfigurationSchema.key(path) {
            guard let value = key.value(of: node) else {
                refused.insert(name)
                return report(node, name, "expected \(key.expectation)")
            }
            switch value {
            case .success(let value):
                key.write(&configuration, label, value)
                places[name] = (currentSource, line(node))
                refused.remove(name)
            case .failure(let reason):
                refused.insert(name)
                report(node, name, reason.message)
            }
            return
        }
        guard case .mapping(let mapping) = node else {
            let allowed = ConfigurationSchema.names(under: path).map { $0 == "*" ? "<label>" : $0 }
            refused.insert(name)
            return report(node, name, "expected a section with \(allowed.joined(separator: ", "))")
        }
        let allowed = ConfigurationSchema.names(under: path)
        for (keyNode, value) in mapping {
            guard problems.count < Self.problemLimit else { return stop(keyNode) }
            guard let name = keyNode.string else {
                report(keyNode, path.joined(separator: "."), "expected a key's name")
                continue
            }
            let child = path + [name]
            if allowed.contains("*") {
                if !isIdentifier(name) {
                    report(keyNode, child.joined(separator: "."), "a label has only letters, digits, '.', '_' and '-'")
                    continue
                }
                if path == ["teachers"] {
                    configuration.teachers[name, default: .init()] = configuration.teachers[name] ?? .init()
                }
                places[child.joined(separator: ".")] = (currentSource, line(keyNode))
                walk(value, at: child)
            } else if allowed.contains(name) {
                places[child.joined(separator: ".")] = (currentSource, line(keyNode))
                walk(value, at: child)
            } else {
                reportUnknown(keyNode, child, allowed: allowed)
            }
        }
    }

    /// Says once that there is more.
    private mutating func stop(_ node: Node) {
        guard problems.count == Self.problemLimit else { return }
        report(node, "", "stopped after \(Self.problemLimit) problems")
    }

    private mutating func reportUnknown(_ node: Node, _ path: [String], allowed: [String]) {
        let name = path.last ?? ""
        var hint = "one of " + allowed.joined(separator: ", ")
        if let near = nearestName(to: name, among: allowed) {
            hint = "did you mean '\(near)'?"
        } else if let elsewhere = ConfigurationSchema.keys.first(where: {
            $0.path.split(separator: ".").last ?? "" == name
        }) {
            hint = "did you mean '\(elsewhere.path)'?"
        } else if let near = nearestName(
            to: name, among: ConfigurationSchema.keys.compactMap { $0.path.split(separator: ".").last.map(String.init) }
        ),
            let elsewhere = ConfigurationSchema.keys.first(where: { $0.path.hasSuffix("." + near) })
        {
            hint = "did you mean '\(elsewhere.path)'?"
        } else {
            hint = "expected " + hint
        }
        report(node, path.joined(separator: "."), "unknown key; \(hint)")
    }

    /// Checks that need the whole file: what is missing, files, and settings that contradict each other.
    mutating func finish(requiring: Set<FileUse>) {
        guard !isSyntaxBroken else { return }
        if configuration.runFolder.isEmpty { configuration.runFolder = "runs/\(configuration.name)" }
        for (key, message) in configuration.missing where !problems.contains(where: { $0.key.hasPrefix(key) }) {
            guard !isRefused(key) else { continue }
            let section = key.split(separator: ".").dropLast().joined(separator: ".")
            problems.append(.init(source: source, line: places[section]?.line, key: key, message: message))
        }
        let labels = configuration.teachers.keys.sorted()
        for key in ConfigurationSchema.keys {
            for label in key.path.contains("*") ? labels : [""] {
                let name = key.path.split(separator: ".").map { $0 == "*" ? label : String($0) }.joined(separator: ".")
                let isSet = places[name] != nil
                // A server has the model itself.
                let isElsewhere =
                    key.path == "teachers.*.model" && configuration.teachers[label]?.server.isGiven == true
                if key.required, !isSet, !isRefused(name), !isElsewhere {
                    let section = name.split(separator: ".").dropLast().joined(separator: ".")
                    problems.append(
                        .init(
                            source: source, line: places[section]?.line, key: name,
                            message: "missing; \(key.expectation): \(key.summary)"))
                }
                if case .path(let use) = key.kind, isSet, !refused.contains(name) {
                    locate(name, key, label, isRequired: requiring.contains(use))
                }
            }
        }
        configuration.data.environment.command = configuration.data.environment.command.enumerated().map(located)
        checkTogether()
    }

    /// A word of a command: where it is the path of a file beside the configuration file and none in the current
    /// directory, that path. A program without a slash is found as a shell would find it.
    private func located(_ place: Int, _ word: String) -> String {
        if place == 0, !word.contains("/") { return word }
        guard !word.hasPrefix("/"), !RunConfiguration.fileExists(word), let beside = beside(word) else { return word }
        return beside
    }

    /// The path beside the configuration file, where there is such a file.
    private func beside(_ path: String) -> String? {
        let folder = source.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        guard !folder.isEmpty, RunConfiguration.fileExists("\(folder)/\(path)") else { return nil }
        return "\(folder)/\(path)"
    }

    /// A relative path is looked up in the current directory, then beside the configuration file.
    private mutating func locate(_ name: String, _ key: ConfigurationKey, _ label: String, isRequired: Bool) {
        guard case .text(let path) = key.read(configuration, label) else { return }
        if path.isEmpty || RunConfiguration.fileExists(path) { return }
        if !path.hasPrefix("/"), let beside = beside(path) {
            return key.write(&configuration, label, .text(beside))
        }
        guard isRequired else { return }
        let folder = source.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        let place = places[name]
        let elsewhere = path.hasPrefix("/") || folder.isEmpty ? "" : " (looked here and in \(folder))"
        problems.append(
            .init(
                source: place?.source ?? source, line: place?.line, key: name,
                message: "no such file: '\(path)'\(elsewhere)"))
    }

    private mutating func checkTogether() {
        func conflict(_ key: String, _ message: String) {
            guard !refused.contains(key) else { return }
            let place = places[key]
            problems.append(.init(source: place?.source ?? source, line: place?.line, key: key, message: message))
        }
        for (key, message) in configuration.contradictions { conflict(key, message) }
        let training = configuration.training, pipeline = configuration.pipeline
        if training.minLearningRate > training.learningRate {
            conflict(
                "training.min_learning_rate",
                "\(short(training.minLearningRate)) is above training.learning_rate \(short(training.learningRate))")
        }
        if pipeline.leaseSeconds <= pipeline.heartbeatSeconds {
            conflict(
                "pipeline.lease_s",
                "\(short(pipeline.leaseSeconds)) must be above pipeline.heartbeat_s \(short(pipeline.heartbeatSeconds)): heartbeats renew leases"
            )
        }
        if pipeline.standbyAfterSeconds > 0, pipeline.standbyAfterSeconds < 1 {
            conflict(
                "pipeline.standby_after_s",
                "\(short(pipeline.standbyAfterSeconds)) is too short for signs of life through a file; give at least 1, or 0 "
                    + "for a run without standby")
        }
        if !["tcp://", "ipc://", "inproc://"].contains(where: { pipeline.endpoint.hasPrefix($0) }) {
            conflict("pipeline.endpoint", "expected tcp://ADDRESS:PORT or ipc://PATH, got '\(pipeline.endpoint)'")
        }
    }

    /// Whether the key or a section around it was refused.
    private func isRefused(_ name: String) -> Bool {
        refused.contains { name == $0 || name.hasPrefix($0 + ".") }
    }

    // MARK: reporting

    private func line(_ node: Node?) -> Int? { currentSource == source ? node?.mark?.line : nil }

    private mutating func report(_ node: Node?, _ key: String, _ message: String) {
        problems.append(.init(source: currentSource, line: line(node), key: key, message: message))
    }

    private mutating func reportSyntax(_ error: YamlError) {
        func add(_ line: Int?, _ message: String) {
            problems.append(.init(source: currentSource, line: line, message: message))
        }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            add(mark.line, "is not YAML: \(problem)")
        case .reader(let problem, _, _, _): add(nil, "is not YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            add(context.mark.line, "the key '\(duplicates.joined(separator: "', '"))' is given twice in one section")
        default: add(nil, "is not YAML: \(error)")
        }
    }
}

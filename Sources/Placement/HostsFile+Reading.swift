import Configuration
import Files
import Yams

extension HostsFile {
    /// Most machines of a file, and most processes of a kind on one.
    static let hostLimit = 1024, countLimit = 256
    private static let byteLimit = 1 << 20

    /// Reads and checks a file of hosts.
    /// - Throws: ``ConfigurationError`` with every problem found.
    package static func load(_ path: String) throws(ConfigurationError) -> HostsFile {
        let text: String
        do { text = try FileTree.read(path, limit: byteLimit) } catch {
            throw ConfigurationError(problems: [.init(source: path, message: "\(error)")])
        }
        return try parse(text, source: path)
    }

    /// Reads and checks the text of a file of hosts; `source` names it in problems.
    package static func parse(_ text: String, source: String) throws(ConfigurationError) -> HostsFile {
        var reader = HostsFileReader(source: source)
        reader.read(text)
        guard reader.problems.isEmpty else { throw ConfigurationError(problems: reader.problems) }
        return reader.file
    }
}

/// Walks the YAML of a file of hosts, collecting values and problems.
private struct HostsFileReader {
    let source: String
    var file = HostsFile()
    var problems: [ConfigurationError.Problem] = []
    private var folder: String?

    init(source: String) { self.source = source }

    mutating func read(_ text: String) {
        // Aliases of aliases could make of a short text a long day: a list of machines has little use for them.
        guard text.utf8.count(where: { $0 == UInt8(ascii: "*") }) <= 16 else {
            return report(nil, "", "has more than 16 '*', of which aliases are made; write out what they stand for")
        }
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch {
            let line: Int? =
                switch error as? YamlError {
                case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _): mark.line
                case .duplicatedKeysInMapping(_, let context): context.mark.line
                default: nil
                }
            problems.append(.init(source: source, line: line, message: "is not YAML, or has a key twice"))
            return
        }
        guard let root else { return report(nil, "", "is empty; expected 'learner:' and 'hosts:'") }
        section(root, "", ["learner", "folder", "hosts"]) { reader, name, node in
            switch name {
            case "learner": reader.readLearner(node)
            case "folder": reader.folder = reader.folder(node, name)
            default: reader.readHosts(node)
            }
        }
        for (name, host) in file.hosts where host.folder.isEmpty { file.hosts[name]?.folder = folder ?? "opd" }
        if file.hosts[HostsFile.here] == nil, file.learner.host == HostsFile.here {
            file.hosts[HostsFile.here] = .init()
        }
        checkTogether(root)
    }

    private mutating func checkTogether(_ root: Node) {
        guard problems.isEmpty else { return }
        if file.hosts[file.learner.host] == nil {
            report(
                root["learner"]?["host"], "learner.host",
                "'\(file.learner.host)' is not among the hosts: \(file.hosts.keys.sorted().joined(separator: ", "))")
        }
        if file.learner.address == nil, file.hosts.keys.contains(where: { $0 != file.learner.host }) {
            report(
                root["learner"] ?? root, "learner.address",
                "missing; the address by which the other hosts reach the learner, such as 10.0.0.1")
        }
    }

    private mutating func readLearner(_ node: Node) {
        section(node, "learner", ["host", "address", "bind", "port"]) { reader, name, node in
            let key = "learner.\(name)"
            switch name {
            case "host": if let host = reader.label(node, key) { reader.file.learner.host = host }
            case "address": reader.file.learner.address = reader.address(node, key)
            case "bind": reader.file.learner.bind = reader.address(node, key)
            default: if let port = reader.integer(node, key, 1...65535) { reader.file.learner.port = port }
            }
        }
    }

    private mutating func readHosts(_ node: Node) {
        guard case .mapping(let mapping) = node else {
            return report(node, "hosts", "expected a name and what it does for each machine")
        }
        guard mapping.count <= HostsFile.hostLimit else {
            return report(node, "hosts", "has \(mapping.count) machines, more than \(HostsFile.hostLimit)")
        }
        for (name, value) in mapping {
            guard problems.count < 50, let label = label(name, "hosts") else { continue }
            readHost(value, label)
        }
    }

    private mutating func readHost(_ node: Node, _ label: String) {
        var host = HostsFile.Host()
        // Filled with the file's own folder once all of it was read.
        host.folder = ""
        // A name alone is a machine that does nothing yet.
        if node.null == nil {
            section(node, "hosts.\(label)", ["ssh", "folder", "workers", "scorers", "threads"]) { reader, name, node in
                let key = "hosts.\(label).\(name)"
                if label == HostsFile.here, name == "ssh" || name == "folder" {
                    return reader.report(
                        node, key, "'here' is this machine: it is reached without ssh and uses the current folder")
                }
                switch name {
                case "ssh": host.ssh = reader.sshName(node, key)
                case "folder": host.folder = reader.folder(node, key) ?? ""
                case "workers": host.workers = reader.count(node, key)
                case "scorers": host.scorers = reader.count(node, key)
                default: host.threads = reader.integer(node, key, 0...1024) ?? 0
                }
            }
        }
        file.hosts[label] = host
    }

    // MARK: values

    private mutating func section(
        _ node: Node, _ key: String, _ allowed: [String], _ body: (inout Self, String, Node) -> Void
    ) {
        guard case .mapping(let mapping) = node else {
            return report(node, key, "expected a section with \(allowed.joined(separator: ", "))")
        }
        for (nameNode, value) in mapping {
            let name = nameNode.string ?? ""
            guard problems.count < 50 else { return }
            guard allowed.contains(name) else {
                let near = nearestName(to: name, among: allowed).map { "did you mean '\($0)'?" }
                report(
                    nameNode, key.isEmpty ? Self.shown(name) : "\(key).\(Self.shown(name))",
                    "unknown key; \(near ?? "expected one of " + allowed.joined(separator: ", "))")
                continue
            }
            body(&self, name, value)
        }
    }

    private mutating func text(
        _ node: Node, _ key: String, _ expected: String, where isGood: (String) -> Bool
    ) -> String? {
        if let text = node.string, text.utf8.count <= 4096, isGood(text) { return text }
        report(node, key, "expected \(expected)" + (node.string.map { ", got '\(Self.shown($0))'" } ?? ""))
        return nil
    }

    /// A machine's name: it becomes part of names of files and of members.
    private mutating func label(_ node: Node, _ key: String) -> String? {
        text(node, key, "a machine's name of letters, digits, '.', '_' and '-', that begins with a letter or digit") {
            HostsFile.isName($0, of: "._-", limit: 64)
        }
    }

    /// What ssh is given: never an option, a word of a shell or two words.
    private mutating func sshName(_ node: Node, _ key: String) -> String? {
        text(node, key, "a name that ssh knows, such as me@10.0.0.7, that begins with a letter or digit") {
            HostsFile.isName($0, of: "._-@%", limit: 255)
        }
    }

    private mutating func address(_ node: Node, _ key: String) -> String? {
        text(node, key, "an address without a port, such as 10.0.0.1 or trainer.example") {
            $0.hasPrefix("::") || HostsFile.isName($0, of: ".-:", limit: 255)
        }
    }

    private mutating func folder(_ node: Node, _ key: String) -> String? {
        text(
            node, key, "a folder, below the home folder or beginning with '/'; without '~', '..' and control characters"
        ) {
            !$0.isEmpty && !$0.hasPrefix("-") && !$0.hasPrefix("~") && !$0.split(separator: "/").contains("..")
                && !$0.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f }
        }
    }

    private mutating func integer(_ node: Node, _ key: String, _ range: ClosedRange<Int>) -> Int? {
        if let value = node.int, range.contains(value) { return value }
        report(node, key, "expected a whole number of \(range.lowerBound) to \(range.upperBound)")
        return nil
    }

    private mutating func count(_ node: Node, _ key: String) -> HostsFile.Count {
        guard case .mapping(let mapping) = node else {
            return .each(integer(node, key, 0...HostsFile.countLimit) ?? 0)
        }
        var counts: [String: Int] = [:]
        for (name, value) in mapping {
            guard problems.count < 50 else { break }
            guard let name = label(name, key), let count = integer(value, "\(key).\(name)", 0...HostsFile.countLimit)
            else { continue }
            counts[name] = count
        }
        return .by(counts)
    }

    private mutating func report(_ node: Node?, _ key: String, _ message: String) {
        problems.append(.init(source: source, line: node?.mark?.line, key: key, message: message))
    }

    private static func shown(_ text: String) -> String {
        String(text.prefix(80).map { $0.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f } ? $0 : "?" })
    }
}

extension HostsFile {
    /// Whether a text has only ASCII letters, digits and `others`, and begins with a letter or digit.
    static func isName(_ text: String, of others: String, limit: Int) -> Bool {
        func isPlain(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        guard let first = text.utf8.first, isPlain(first), text.utf8.count <= limit else { return false }
        return text.utf8.allSatisfy { isPlain($0) || others.utf8.contains($0) }
    }
}

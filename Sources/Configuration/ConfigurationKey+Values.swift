import Yams

/// Why a value was refused.
struct Refusal: Error { var message: String }

extension ConfigurationKey {
    /// The node as this key's type, in its range; nil where it is not of the kind that the key takes.
    func value(of node: Node) -> Result<ConfigurationValue, Refusal>? {
        switch (node, kind) {
        case (.sequence(let sequence), .names(let names)): value(of: Array(sequence), among: names)
        case (.sequence(let sequence), .addresses(let most)): addresses(Array(sequence), most)
        case (.scalar, .addresses(let most)): addresses([node], most)
        case (.scalar(let scalar), .names(let names)):
            scalar.string == "all" ? .success(.names([])) : value(of: [node], among: names)
        case (.mapping, .mapping): mapping(node)
        case (.sequence(let sequence), .texts): value(of: Array(sequence))
        case (.scalar, .texts): value(of: [node])
        case (.scalar(let scalar), _): value(of: scalar)
        default: nil
        }
    }

    /// Texts, each once and none empty.
    private func value(of nodes: [Node]) -> Result<ConfigurationValue, Refusal> {
        var texts: [String] = []
        for node in nodes {
            guard case .scalar(let scalar) = node, texts.count < Self.textLimit else {
                return .failure(Refusal(message: "expected \(expectation)"))
            }
            let text = scalar.string
            guard !text.isEmpty, text.utf8.count <= Self.textByteLimit else {
                return .failure(Refusal(message: "expected texts of 1 to \(Self.textByteLimit) bytes"))
            }
            guard !texts.contains(text) else { return .failure(Refusal(message: "'\(text)' is given twice")) }
            texts.append(text)
        }
        return .success(.list(texts))
    }

    /// Different addresses of servers.
    private func addresses(_ nodes: [Node], _ most: Int) -> Result<ConfigurationValue, Refusal> {
        var found: [String] = []
        for node in nodes {
            guard let address = node.string.flatMap(serverAddress) else {
                let got = node.string.map { ", got '\($0.prefix(80))'" } ?? ""
                return .failure(Refusal(message: "expected \(expectation)\(got)"))
            }
            guard !found.contains(address) else { return .failure(Refusal(message: "'\(address)' is given twice")) }
            found.append(address)
        }
        guard (1...most).contains(found.count) else {
            return .failure(Refusal(message: "expected 1 to \(most) addresses, got \(found.count)"))
        }
        return .success(.list(found))
    }

    /// Some of `names`, in their order there, and other names behind them.
    private func value(of nodes: [Node], among names: [String]) -> Result<ConfigurationValue, Refusal> {
        var found: [String] = []
        for node in nodes {
            guard let name = node.string, isIdentifier(name), found.count < Self.textLimit else {
                return .failure(
                    Refusal(
                        message: "expected \(expectation)" + (node.string.map { ", got '\($0.prefix(80))'" } ?? "")))
            }
            guard !found.contains(name) else { return .failure(Refusal(message: "'\(name)' is given twice")) }
            found.append(name)
        }
        guard !found.isEmpty else { return .failure(Refusal(message: "expected \(expectation), got an empty list")) }
        return .success(
            .names(
                Set(found) == Set(names)
                    ? [] : names.filter(found.contains) + found.filter { !names.contains($0) }))
    }

    /// The scalar as this key's type, in its range.
    func value(of scalar: Node.Scalar) -> Result<ConfigurationValue, Refusal> {
        let text = scalar.string
        let isPlain = scalar.style == .plain || scalar.style == .any
        let isNothing = isPlain && ["", "~", "null", "Null", "NULL"].contains(text)
        func refuse() -> Result<ConfigurationValue, Refusal> {
            .failure(
                Refusal(message: "expected \(expectation), got " + (isNothing ? "nothing" : "'\(text.prefix(80))'")))
        }
        if isNothing {
            if case .path = kind, !required { return .success(.text("")) }
            return refuse()
        }
        switch kind {
        case .integer(let range):
            guard isPlain, let value = Int(text.filter { $0 != "_" }), range.contains(value) else { return refuse() }
            return .success(.integer(value))
        case .number(let range, let above):
            guard isPlain, let first = text.first, first.isNumber || "+-.".contains(first), let value = Double(text),
                range.contains(value), !(above && value == range.lowerBound)
            else { return refuse() }
            return .success(.number(value))
        case .flag:
            guard isPlain, text == "true" || text == "false" else { return refuse() }
            return .success(.flag(text == "true"))
        case .choice(let names):
            if names.contains(text) { return .success(.text(text)) }
            guard let near = nearestName(to: text, among: names) else { return refuse() }
            return .failure(Refusal(message: "expected \(expectation), got '\(text)'; did you mean '\(near)'?"))
        case .identifier:
            guard isIdentifier(text) else { return refuse() }
            return .success(.text(text))
        case .names, .mapping, .texts, .addresses: return refuse()
        case .text, .path:
            guard !text.isEmpty else { return refuse() }
            return .success(.text(text))
        }
    }
}

/// `http://HOST:PORT` or `https://…`, without a slash at the end; nil for what has a user, a path or a query.
func serverAddress(_ text: String) -> String? {
    var text = text
    if text.hasSuffix("/") { text.removeLast() }
    guard let scheme = ["http://", "https://"].first(where: { text.hasPrefix($0) }), text.utf8.count <= 300 else {
        return nil
    }
    let rest = text.dropFirst(scheme.count)
    guard let first = rest.first, first != ":", first != "-" else { return nil }
    let isPlain = rest.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || ".-_:[]".contains($0)) }
    return isPlain ? text : nil
}

/// Letters, digits, `.`, `_`, `-`, not starting with a dot or a hyphen.
func isIdentifier(_ text: String) -> Bool {
    guard let first = text.first, first != ".", first != "-", text.count <= 100 else { return false }
    return text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
}

/// Which process needs a file; a worker on another machine need not have the prompts.
package enum FileUse: Sendable, CaseIterable {
    case student, teachers, data
    /// Keys of the learner; of whoever connects to it; of rollout workers; of scorers; of relays; of those behind relays.
    case learnerKeys, memberKeys, rolloutKeys, scorerKeys, relayKeys, relayedKeys

    /// What a run on one machine needs, which has no relays.
    package static let ofRun = Set(allCases).subtracting([.relayKeys, .relayedKeys])
}

/// One key of the configuration file: its type and range, its meaning, and where its value lives.
package struct ConfigurationKey: Sendable {
    /// The type of a key's value, and its range.
    package enum Kind: Sendable, Equatable {
        case integer(ClosedRange<Int>)
        /// `above`: the lower bound itself is not allowed.
        case number(ClosedRange<Double>, above: Bool)
        case flag
        case choice([String])
        /// `all`, or a list of some of them, or of other names, which one model may have.
        case names([String])
        /// A text or a list of them, each with 1 to `textByteLimit` bytes.
        case texts
        case text
        /// Names with values of any kind, nested or not.
        case mapping
        /// Letters, digits, `.`, `_`, `-`: it becomes part of file names.
        case identifier
        case path(FileUse)
        /// One or up to so many addresses of servers.
        case addresses(Int)
    }

    /// Most texts of a list, and most bytes of each.
    static let textLimit = 64, textByteLimit = 1024

    /// Full name; `*` stands for a label the user chooses.
    package let path: String
    package let kind: Kind
    package let required: Bool
    package let summary: String
    package let read: @Sendable (RunConfiguration, _ label: String) -> ConfigurationValue
    package let write: @Sendable (inout RunConfiguration, _ label: String, ConfigurationValue) -> Void

    /// What the file may leave out, as text; nil when the key is required or has no value unless given.
    package var defaultText: String? {
        if required { return nil }
        if path == "run_folder" { return "runs/<name>" }
        var configuration = RunConfiguration()
        configuration.teachers["*"] = .init()
        let text = read(configuration, "*").description
        return text == "''" || text == "[]" ? nil : text
    }

    /// The values the key takes, in words.
    package var expectation: String {
        switch kind {
        case .integer(let range):
            range.upperBound == .max
                ? "an integer of at least \(range.lowerBound)"
                : "an integer from \(range.lowerBound) to \(range.upperBound)"
        case .number(let range, let above):
            "a number "
                + (above ? "above \(short(range.lowerBound))" : "of at least \(short(range.lowerBound))")
                + (range.upperBound < .greatestFiniteMagnitude ? " and at most \(short(range.upperBound))" : "")
        case .flag: "true or false"
        case .choice(let names): "one of " + names.joined(separator: ", ")
        case .names(let names): "all, or a list of some of \(names.joined(separator: ", ")), or of other names"
        case .texts: "a text, or a list of at most \(Self.textLimit) of them"
        case .text: "text"
        case .mapping: "a mapping of names to values"
        case .identifier: "a name of letters, digits, '.', '_' and '-'"
        case .path: "a path"
        case .addresses(let most): most == 1 ? "http(s)://HOST:PORT" : "http(s)://HOST:PORT, or a list of such"
        }
    }
}

extension ConfigurationKey {
    typealias Field<Value> = WritableKeyPath<RunConfiguration, Value> & Sendable

    static func integer(_ path: String, _ field: Field<Int>, _ range: ClosedRange<Int>, _ summary: String) -> Self {
        Self(
            path: path, kind: .integer(range), required: false, summary: summary,
            read: { configuration, _ in .integer(configuration[keyPath: field]) },
            write: { if case .integer(let value) = $2 { $0[keyPath: field] = value } })
    }

    static func number(
        _ path: String, _ field: Field<Double>, _ range: ClosedRange<Double>, above: Bool = false, _ summary: String
    ) -> Self {
        Self(
            path: path, kind: .number(range, above: above), required: false, summary: summary,
            read: { configuration, _ in .number(configuration[keyPath: field]) },
            write: { if case .number(let value) = $2 { $0[keyPath: field] = value } })
    }

    static func flag(_ path: String, _ field: Field<Bool>, _ summary: String) -> Self {
        Self(
            path: path, kind: .flag, required: false, summary: summary,
            read: { configuration, _ in .flag(configuration[keyPath: field]) },
            write: { if case .flag(let value) = $2 { $0[keyPath: field] = value } })
    }

    static func text(
        _ path: String, _ field: Field<String>, _ kind: Kind, required: Bool = false, _ summary: String
    ) -> Self {
        Self(
            path: path, kind: kind, required: required, summary: summary,
            read: { configuration, _ in .text(configuration[keyPath: field]) },
            write: { if case .text(let value) = $2 { $0[keyPath: field] = value } })
    }

    /// Names with values of any kind, kept as JSON.
    static func mapping(_ path: String, _ field: Field<String?>, _ summary: String) -> Self {
        Self(
            path: path, kind: .mapping, required: false, summary: summary,
            read: { configuration, _ in .mapping(configuration[keyPath: field]) },
            write: { if case .mapping(let value) = $2 { $0[keyPath: field] = value } })
    }

    /// Text that need not be given.
    static func optionalText(_ path: String, _ field: Field<String?>, _ summary: String) -> Self {
        optional(path, field, .text, summary)
    }

    /// A path that need not be given.
    static func file(_ path: String, _ field: Field<String?>, _ use: FileUse, _ summary: String) -> Self {
        optional(path, field, .path(use), summary)
    }

    private static func optional(_ path: String, _ field: Field<String?>, _ kind: Kind, _ summary: String) -> Self {
        Self(
            path: path, kind: kind, required: false, summary: summary,
            read: { configuration, _ in ConfigurationValue(text: configuration[keyPath: field]) },
            write: { $0[keyPath: field] = $2.optionalText })
    }

    static func choice<Choice: RawRepresentable<String> & CaseIterable & Sendable>(
        _ path: String, _ field: Field<Choice>, _ summary: String
    ) -> Self {
        Self(
            path: path, kind: .choice(Choice.allCases.map(\.rawValue)), required: false, summary: summary,
            read: { configuration, _ in .text(configuration[keyPath: field].rawValue) },
            write: {
                if case .text(let value) = $2, let choice = Choice(rawValue: value) { $0[keyPath: field] = choice }
            })
    }

    static func names(_ path: String, _ field: Field<[String]>, _ names: [String], _ summary: String) -> Self {
        Self(
            path: path, kind: .names(names), required: false, summary: summary,
            read: { configuration, _ in .names(configuration[keyPath: field]) },
            write: { if case .names(let value) = $2 { $0[keyPath: field] = value } })
    }

    static func texts(_ path: String, _ field: Field<[String]>, _ summary: String) -> Self {
        Self(
            path: path, kind: .texts, required: false, summary: summary,
            read: { configuration, _ in .list(configuration[keyPath: field]) },
            write: { if case .list(let value) = $2 { $0[keyPath: field] = value } })
    }

    static func teacher(
        _ name: String, _ kind: Kind, required: Bool, _ summary: String,
        read: @escaping @Sendable (RunConfiguration.Model) -> ConfigurationValue,
        write: @escaping @Sendable (inout RunConfiguration.Model, ConfigurationValue) -> Void
    ) -> Self {
        Self(
            path: "teachers.*.\(name)", kind: kind, required: required, summary: summary,
            read: { configuration, label in read(configuration.teachers[label] ?? .init()) },
            write: { write(&$0.teachers[$1, default: .init()], $2) })
    }
}

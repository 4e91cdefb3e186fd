extension ConfigurationSchema {
    private typealias Server = RunConfiguration.Server

    /// Keys of teachers that are behind HTTP.
    static let teacherServerKeys: [ConfigurationKey] =
        [
            .teacher(
                "tokenizer", .path(.teachers), required: false,
                "folder with the config.json and the tokenizer of a teacher that servers or other machines have"
            ) {
                ConfigurationValue(text: $0.tokenizer)
            } write: {
                $0.tokenizer = $1.optionalText
            }
        ]
        + serverKeys(.teachers, hasList: true).map { part in
            .teacher(part.name, part.kind, required: false, part.summary) {
                part.read($0.server)
            } write: {
                part.write(&$0.server, $1)
            }
        }

    /// Keys of who samples the student's responses.
    static let rolloutKeys: [ConfigurationKey] =
        [.choice("rollout.engine", \.rollout.engine, "who samples the student's responses")]
        + serverKeys(.rolloutKeys, hasList: false).map { part in
            ConfigurationKey(
                path: "rollout.\(part.name)", kind: part.kind, required: false, summary: part.summary,
                read: { configuration, _ in part.read(configuration.rollout.server) },
                write: { part.write(&$0.rollout.server, $2) })
        }

    /// One key of a `server` section, wherever that is.
    private struct Part: Sendable {
        var name: String
        var kind: ConfigurationKey.Kind
        var summary: String
        var read: @Sendable (Server) -> ConfigurationValue
        var write: @Sendable (inout Server, ConfigurationValue) -> Void
    }

    /// - Parameters:
    ///   - use: who needs its files.
    ///   - hasList: whether it grades, and is one of several.
    private static func serverKeys(_ use: FileUse, hasList: Bool) -> [Part] {
        func text(
            _ name: String, _ kind: ConfigurationKey.Kind, _ field: WritableKeyPath<Server, String?> & Sendable,
            _ summary: String
        ) -> Part {
            Part(name: "server.\(name)", kind: kind, summary: summary) {
                ConfigurationValue(text: $0[keyPath: field])
            } write: {
                $0[keyPath: field] = $1.optionalText
            }
        }
        func integer(
            _ name: String, _ range: ClosedRange<Int>, _ field: WritableKeyPath<Server, Int> & Sendable,
            _ summary: String
        ) -> Part {
            Part(name: "server.\(name)", kind: .integer(range), summary: summary) {
                .integer($0[keyPath: field])
            } write: {
                if case .integer(let value) = $1 { $0[keyPath: field] = value }
            }
        }
        let names = Server.Kind.allCases.map(\.rawValue)
        var parts = [
            Part(name: "server.kind", kind: .choice(names), summary: "what the server is; vllm and sglang can be used")
            {
                .text($0.kind.rawValue)
            } write: {
                if case .text(let value) = $1 { $0.kind = .init(rawValue: value) ?? .vllm }
            },
            Part(
                name: hasList ? "server.urls" : "server.url", kind: .addresses(hasList ? 256 : 1),
                summary: hasList ? "servers that all have the teacher" : "the server, on the worker's machine"
            ) {
                .list($0.urls)
            } write: {
                if case .list(let value) = $1 { $0.urls = value }
            },
            text("model", .text, \.model, "the model's name there, as /v1/models lists it; without it the only one"),
            text("key_file", .path(use), \.keyFile, "file with the server's key, of mode 0600"),
            text("ca_file", .path(use), \.authorityFile, "PEM file of the authorities that sign https addresses"),
            Part(
                name: "server.start_timeout_s", kind: .number(0...86_400, above: true),
                summary: "seconds that a server may take to answer when a process begins"
            ) {
                .number($0.startTimeoutSeconds)
            } write: {
                if case .number(let value) = $1 { $0.startTimeoutSeconds = value }
            },
            Part(
                name: "server.timeout_s", kind: .number(0...86_400, above: true),
                summary: "seconds after which a request is given up and made again"
            ) {
                .number($0.timeoutSeconds)
            } write: {
                if case .number(let value) = $1 { $0.timeoutSeconds = value }
            },
        ]
        guard hasList else { return parts }
        parts += [
            integer(
                "requests", 1...4_096, \.requests,
                "most requests that one server has at once; fewer while its latency rises"),
            integer(
                "tokens", 1...1_000_000_000, \.tokens,
                "most tokens that one server has at once: their log-probabilities take memory there"),
            Part(
                name: "server.temperature", kind: .number(0...100, above: true),
                summary: "1: the log-probabilities of given tokens are always those of temperature 1"
            ) {
                .number($0.temperature)
            } write: {
                if case .number(let value) = $1 { $0.temperature = value }
            },
        ]
        return parts
    }
}

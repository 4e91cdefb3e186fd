extension RunConfiguration {
    /// Who samples the student's responses.
    package struct Rollout: Sendable, Equatable {
        package var engine = Engine.native
        /// The server of `engine: server`.
        package var server = Server()
        package init() {}

        package enum Engine: String, Sendable, CaseIterable { case native, torch, server }
    }

    /// Servers that other people run, which all have one model.
    package struct Server: Sendable, Equatable {
        package var kind = Kind.vllm
        /// `http://HOST:PORT`; none: there is no server.
        package var urls: [String] = []
        /// The name of the model there; nil: the only one.
        package var model: String?
        /// File with the key that requests carry.
        package var keyFile: String?
        /// PEM file of the authorities that are trusted; nil: the system's.
        package var authorityFile: String?
        /// Seconds that a server may take to answer for the first time.
        package var startTimeoutSeconds = 60.0
        /// Seconds that one request may take.
        package var timeoutSeconds = 300.0
        /// Most requests that one server has at once.
        package var requests = 64
        /// Most tokens that one server has at once.
        package var tokens = 65_536
        /// The temperature at which a teacher's probabilities are taken.
        package var temperature = 1.0
        package init() {}

        package enum Kind: String, Sendable, CaseIterable { case vllm, sglang, llamacpp, ollama }

        package var isGiven: Bool { !urls.isEmpty }

        /// Whether every server is on this machine.
        package var isLocal: Bool {
            urls.allSatisfy { url in
                let rest = url.split(separator: "/", maxSplits: 2).last ?? ""
                return ["127.0.0.1", "localhost", "[::1]"].contains { rest == $0 || rest.hasPrefix("\($0):") }
            }
        }
    }

    /// What servers are asked that they cannot do.
    var serverContradictions: [(key: String, message: String)] {
        var found: [(key: String, message: String)] = []
        for (label, teacher) in usedTeachers.sorted(by: { $0.key < $1.key }) where teacher.server.isGiven {
            let key = "teachers.\(label)"
            if let reason = teacher.server.kind.refusal { found.append(("\(key).server.kind", reason)) }
            if teacher.tokenizer == nil {
                found.append(
                    (
                        "\(key).tokenizer",
                        "missing; a path: a folder with the teacher's config.json and tokenizer, by which it is compared "
                            + "with the student"
                    ))
            }
            if teacher.server.temperature != 1 {
                found.append(
                    (
                        "\(key).server.temperature",
                        "servers give the log-probabilities of given tokens at temperature 1, whatever they are asked"
                    ))
            }
            if evaluation.teachers {
                found.append(
                    ("evaluation.teachers", "the learner asks no server for answers, and \(key) is one; leave it off"))
            }
        }
        for (label, teacher) in teachers.sorted(by: { $0.key < $1.key }) where !teacher.server.isGiven {
            if teacher.server != Server() {
                found.append(("teachers.\(label).server", "urls are missing: where the servers are, http://HOST:PORT"))
            }
        }
        if sampling.minTokens > 0, !sampling.ignoreEOS {
            let servers =
                kind.sampler == .teachers
                ? usedTeachers.sorted { $0.key < $1.key }.map { ("teachers.\($0.key)", $0.value.server) }
                : rollout.engine == .server ? [("rollout", rollout.server)] : []
            for (name, server) in servers where server.isGiven && server.kind == .sglang {
                found.append(
                    (
                        "sampling.min_tokens",
                        "SGLang keeps end tokens out of the log-probabilities that it reports, and \(name).server is "
                            + "one; leave it 0, use vllm, or set sampling.ignore_eos"
                    ))
            }
        }
        return found + samplingServerContradictions
    }

    private var samplingServerContradictions: [(key: String, message: String)] {
        guard rollout.engine == .server else { return [] }
        var found: [(key: String, message: String)] = []
        func conflict(_ key: String, _ message: String) { found.append((key, message)) }
        if !rollout.server.isGiven {
            conflict("rollout.server.url", "missing; where the server is, such as http://127.0.0.1:8000")
        }
        if !rollout.server.isLocal {
            conflict(
                "rollout.server.url",
                "a worker writes weights into memory that the server reads, so both are on one machine: 127.0.0.1 or "
                    + "localhost; start 'opd rollout' on the server's machine")
        }
        if let reason = rollout.server.kind.refusal { conflict("rollout.server.kind", reason) }
        if kind.sampler != .student {
            conflict(
                "rollout.engine",
                "with objective.kind \(objective.kind.rawValue) the student does not sample; give the teacher a server")
        } else if pipeline.workers > 1 {
            conflict("pipeline.workers", "one worker drives one server, and the configuration names one; set it to 1")
        }
        return found
    }
}

extension RunConfiguration {
    /// What is allowed of servers and probably not meant.
    var serverWarnings: [String] {
        var servers = usedTeachers.sorted { $0.key < $1.key }.map { ("teachers.\($0.key).server", $0.value.server) }
        servers.append(("rollout.server", rollout.server))
        var warnings = servers.filter { name, server in
            server.keyFile != nil && !server.isLocal && server.urls.contains { $0.hasPrefix("http://") }
        }.map {
            "\($0.0).key_file: the key travels in plain text to an http:// address; use https:// beyond a private network"
        }
        if rollout.server.isGiven, rollout.engine != .server {
            warnings.append("rollout.server: has no effect without rollout.engine: server")
        }
        return warnings
    }
}

extension RunConfiguration.Server.Kind {
    /// Why these cannot be used; nil where they can.
    fileprivate var refusal: String? {
        switch self {
        case .vllm, .sglang: nil
        case .llamacpp:
            "llama.cpp's server gives no log-probabilities of given tokens and takes no new weights; use vllm or sglang, "
                + "or give the GGUF file itself as the model"
        case .ollama:
            "Ollama takes no token ids and gives no log-probabilities of given tokens; use vllm or sglang, or give the GGUF "
                + "file itself as the model"
        }
    }
}

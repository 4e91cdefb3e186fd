import Engines
import Models

/// The servers of one model, found to have it.
package struct ConnectedServer: Sendable {
    package let probe: ServerProbe
    package let caller: ServerCaller
    package let model: ServedModel
    package let text: ModelText
    /// The vocabulary of the tokenizer's folder: ids are below this.
    package let vocabularySize: Int

    /// Looks at the servers of a model, waiting for one of them to answer.
    /// - Parameters:
    ///   - isFixed: whether its weights stay what they are.
    ///   - isProbed: whether more is asked than which models there are.
    /// - Throws: `UsageError` for what does not fit, `EngineError` when no server answers, and errors of the tokenizer's
    ///   files.
    package static func connect(
        _ reference: ServerReference, tokenizer path: String, http: any HTTPSending, isFixed: Bool,
        isProbed: Bool = true
    ) async throws -> ConnectedServer {
        let files = try TextFiles.open(path)
        let text = ModelText(tokenizer: files.tokenizer, templates: files.templates)
        let probe = try ServerProbe(reference, reference.kind.dialect, text, isFixed: isFixed)
        let line = ServerLine(
            http: http,
            key: try reference.keyFile.map { try ServerKey.read($0, for: reference.key) },
            authorities: reference.authorityFile, timeout: reference.timeout)
        let caller = ServerCaller(reference, line: line)
        try await caller.begin { address in
            let model = try await probe.model(at: address)
            guard isProbed else { return }
            try await probe.check(address, model: model.name)
            try await probe.checkTopTokens(address, model: model.name)
        }
        var models: [ServedModel] = []
        for address in await caller.addresses {
            // One that is down now is looked at when it is up.
            do { models.append(try await probe.model(at: address)) } catch is CallFailure {}
        }
        guard var model = models.first else {
            throw EngineError(
                "\(reference.key): the servers went away while they were looked at; try again", isAbsence: true)
        }
        model.contextLength = models.compactMap(\.contextLength).min()
        return ConnectedServer(
            probe: probe, caller: caller, model: model, text: text, vocabularySize: files.vocabularySize)
    }
}

extension ServerReference.Kind {
    package var dialect: any ServerDialect {
        switch self {
        case .vllm: VLLMDialect()
        case .sglang: SGLangDialect()
        }
    }
}

import Distillation
import Engines
import Models
import StudentWeights
import Tokenizers
import Wire
import Wording

/// Models that servers compute, which other people run: vLLM and SGLang, over HTTP.
package struct ServerEngineFactory: EngineFactory {
    /// Computes here what a server's answers are compared with.
    private let native: any EngineFactory
    /// What requests are sent by, made when the first is.
    private let client: @Sendable () throws -> any HTTPSending

    package init(native: any EngineFactory, client: (@Sendable () throws -> any HTTPSending)? = nil) {
        self.native = native
        self.client = client ?? { try CurlClient() }
    }

    package func describe(_ model: ModelReference) async throws -> ModelDescription {
        if try server(model).takesWeights { try PolicyForm.check(model) }
        // Who works with it has it probed.
        let connected = try await connect(model, isProbed: false)
        // One token is sampled beside a graded sequence.
        let beside = try server(model).takesWeights ? 0 : 1
        let context = connected.model.contextLength.map { $0 - beside }
        return ModelDescription(
            name: try server(model).urls.joined(separator: ", "), text: connected.text,
            contextLength: context ?? Int(Int32.max), vocabularySize: connected.vocabularySize, forwardCost: nil)
    }

    package func tokenizer(of model: ModelReference) throws -> Tokenizer? {
        try ModelFiles.openTokenizer(model.path)
    }

    package func text(of model: ModelReference) throws -> ModelText? {
        let files = try TextFiles.open(model.path)
        return ModelText(tokenizer: files.tokenizer, templates: files.templates)
    }

    package func trainer(
        _ model: ModelReference, _ options: TrainerOptions
    ) throws -> any TrainingBackend & SupervisedBackend {
        throw UsageError("\(try server(model).key): a server trains nothing; leave it out")
    }

    package func sampler(_ model: ModelReference, _ options: SamplerOptions) async throws -> any RolloutBackend {
        var server = try server(model)
        guard !options.renewsCaches else { throw EngineRefusal(.engine, "a server computes no caches anew") }
        server.mostRequests = options.slots
        server.firstRequests = options.slots
        server.mostTokens = .max
        let form: PolicyForm =
            server.takesWeights
            ? try PolicyForm(StudentFiles(model.path), adapters: model.adapters, type: model.type) : .fixed
        let connected = try await connect(model, server, isFixed: !form.replacesInPlace)
        guard let address = await connected.caller.addresses.first else {
            throw UsageError("\(server.key): a sampler needs a server's address")
        }
        let mode = try await logprobMode(connected)
        guard case .fixed = form else {
            let carrier = WeightCarrier(
                form, to: address, probe: connected.probe, model: connected.model.name,
                expectation: try await expectation(model, connected.probe, options),
                shared: try SharedFolder())
            if !form.replacesInPlace { try await carrier.forgetStrangers() }
            let probe = connected.probe, name = connected.model.name
            await connected.caller.verify { address in
                _ = try await probe.model(at: address)
                // With all weights replaced it has whichever it was started from.
                if !carrier.form.replacesInPlace { try await probe.check(address, model: name) }
                try await carrier.restore()
            } confirmingBy: { _ in
                try await carrier.confirm()
            }
            return ServerSampler(connected, mode: mode, publisher: carrier, slots: options.slots)
        }
        return ServerSampler(connected, mode: mode, publisher: nil, slots: options.slots)
    }

    package func evaluator(
        _ model: ModelReference, _ options: SamplerOptions
    ) throws -> any RolloutBackend & ScoringBackend {
        throw UsageError("\(try server(model).key): a server does not evaluate beside a learner; leave it out")
    }

    package func scorer(_ model: ModelReference, _ options: ScorerOptions) async throws -> any ScoringBackend {
        let connected = try await connect(model)
        let server = connected.probe.reference
        if let path = server.files {
            let native = native, probe = connected.probe
            let files = ModelReference(path: path, type: model.type)
            // The process holds the model for a moment only.
            let expected = try await NativeComparison.attempt(files, for: server.key) {
                try await native.scorer(files, options).score([probe.task])
            }
            if let expected { try probe.compare(with: expected.first ?? [], of: path) }
        }
        return ServerTeacher(connected)
    }

    package func create(_ shape: InitialShape, seed: UInt64, at path: String) throws -> Int {
        throw UsageError("shape: a server makes no model; leave it out")
    }

    // MARK: Parts

    private func server(_ model: ModelReference) throws -> ServerReference {
        guard let server = model.server else { throw UsageError("\(model.path): no server is named for it") }
        return server
    }

    private func connect(
        _ model: ModelReference, _ server: ServerReference? = nil, isFixed: Bool = true, isProbed: Bool = true
    ) async throws -> ConnectedServer {
        do {
            return try await ConnectedServer.connect(
                try server ?? self.server(model), tokenizer: model.path, http: client(), isFixed: isFixed,
                isProbed: isProbed)
        } catch let failure as HTTPFailure {
            throw EngineError(failure.description)
        }
    }

    /// Loads the student beside the server, to tell what the server must answer with given weights; nil where this
    /// process cannot hold it.
    private func expectation(
        _ model: ModelReference, _ probe: ServerProbe, _ options: SamplerOptions
    ) async throws -> WeightCarrier.Expectation? {
        var reference = model
        reference.server = nil
        let native = native, files = reference
        let student = try await NativeComparison.attempt(files, for: probe.reference.key) {
            try await native.evaluator(files, SamplerOptions(slots: 1, threads: options.threads))
        }
        guard let student else { return nil }
        return { bytes, manifest, version in
            try await student.replaceWeights(bytes, manifest, version: version)
            return try await student.score([probe.task]).first ?? []
        }
    }

    private func logprobMode(_ connected: ConnectedServer) async throws -> LogprobMode {
        let probe = connected.probe, dialect = probe.dialect
        // A stop token would end it as well; so none is asked for, and the one token ends it.
        func logprob(temperature: Float) async throws -> Float {
            let order = SampleOrder(
                model: connected.model.name, promptIDs: probe.ids,
                settings: SamplingSettings(maxTokens: 1, temperature: temperature, topP: 1, topK: 1), seed: 1,
                vocabularySize: connected.vocabularySize)
            return try await connected.caller.ask(tokens: probe.ids.count + 1) {
                .init(dialect.sampling(order)) { body throws(AnswerFlaw) in try dialect.sample(in: body, of: order) }
            }.logprobs[0]
        }
        guard let mode = try await LogprobMode(atOne: logprob(temperature: 1), atTwo: logprob(temperature: 2)) else {
            throw EngineError(
                "\(probe.reference.key): it is not clear what the log-probabilities of "
                    + "\(probe.reference.urls.joined(separator: ", ")) are of")
        }
        return mode
    }
}

extension ServerProbe {
    /// The probe as something to grade, all of it but the first token.
    var task: ScoreTask {
        ScoreTask(
            id: RolloutID(group: 0, sample: 0), kind: .evaluation, teacher: "", ids: ids, promptCount: 1, leaseID: 0)
    }
}

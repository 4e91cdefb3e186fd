import Distillation
import Engines
import Foundation
import Models
import ServerEngine
import StudentWeights
import TestSupport
import Testing
import Transformers
import Wire

/// Samplers that drive a server and bring it weights.
@Suite(.timeLimit(.minutes(5))) struct SamplerTests {
    private let model: ByteModel

    init() throws { model = try ByteModel() }

    private func task(_ group: UInt64, sample: UInt32 = 0, minimum: UInt64 = 0, maxTokens: Int = 4) -> RolloutTask {
        RolloutTask(
            id: RolloutID(group: group, sample: sample), kind: .train, promptIDs: [1, Int32(group)],
            sampling: SamplingSettings(maxTokens: maxTokens), seed: 7, minimumVersion: minimum, leaseID: 0)
    }

    /// A sampler of the student whose expectation nobody computes.
    private func sampler(_ url: String, lora: Bool) async throws -> (ServerSampler, PolicyForm) {
        let files = try StudentFiles(model.path)
        var reference = model.reference([url])
        reference.server?.takesWeights = true
        reference.server?.firstRequests = 16
        let server = try #require(reference.server)
        let connected = try await ConnectedServer.connect(
            server, tokenizer: model.path, http: CurlClient(), isFixed: lora)
        let form: PolicyForm
        if lora {
            reference.adapters = AdapterOptions(rank: 2, alpha: 4, targets: [], seed: 1)
            form = try PolicyForm(files, adapters: reference.adapters, type: .f32)
        } else {
            form = try PolicyForm(files, adapters: nil, type: .f32)
        }
        let address = try #require(await connected.caller.addresses.first)
        let carrier = WeightCarrier(
            form, to: address, probe: connected.probe, model: connected.model.name, expectation: nil,
            shared: try SharedFolder(in: model.folder.path))
        await connected.caller.verify { _ in
            try await carrier.restore()
        } confirmingBy: { _ in
            try await carrier.confirm()
        }
        return (ServerSampler(connected, mode: .raw, publisher: carrier, slots: 16), form)
    }

    /// A snapshot as a learner sends it, with all values `value` but for what the form says of itself.
    private func snapshot(_ form: PolicyForm, _ value: Float) -> WeightBytes {
        WeightBytes(count: form.manifest?.byteCount ?? 0) { memory in
            if case .adapters(_, let snapshot, _) = form {
                snapshot.writeInitial(seed: 1, into: memory)
                for offset in stride(from: 64, to: memory.count, by: 4) {
                    memory.storeBytes(of: value, toByteOffset: offset, as: Float.self)
                }
            } else {
                for offset in stride(from: 0, to: memory.count, by: 4) {
                    memory.storeBytes(of: value, toByteOffset: offset, as: Float.self)
                }
            }
        }
    }

    private func manifest(_ form: PolicyForm) -> WeightManifest {
        form.manifest ?? WeightManifest(matrixType: .f32, byteCount: 0)
    }

    private func check(_ trajectories: [Trajectory], weights: Int) {
        for trajectory in trajectories {
            let before = [trajectory.promptIDs.last ?? 0] + trajectory.responseIDs
            let expected = zip(trajectory.responseIDs, before).map {
                Float(FakeVLLM.logprob($0, after: $1, weights: weights))
            }
            #expect(trajectory.behaviourLogprobs == expected)
        }
    }

    @Test(arguments: [true, false])
    func samplesWithTheWeightsItWasBrought(_ lora: Bool) async throws {
        let fake = model.fake()
        let server = try fake.start()
        defer { server.close() }
        let (sampler, form) = try await sampler(server.url, lora: lora)
        #expect(sampler.weightByteCount == form.manifest?.byteCount)
        await sampler.replaceWeights(snapshot(form, 0.25), manifest(form), version: 3)
        let tasks = (0..<4).flatMap { group in (0..<2).map { task(UInt64(group), sample: UInt32($0), minimum: 3) } }
        let first = try #require(try await sampler.sample(tasks))
        #expect(first.count == 8)
        #expect(first.allSatisfy { Set($0.policyVersions) == [3] })
        func weights() -> Int? {
            fake.state.withLock { lora ? ($0.adapters.count == 1 ? $0.adapters.values.first : nil) : $0.weights }
        }
        let old = try #require(weights())
        check(first, weights: old)
        // Each response has a seed of its own, and the same one when it is asked again.
        let seeds = fake.state.withLock { $0.seeds }.suffix(8)
        #expect(Set(seeds).count == 2)

        await sampler.replaceWeights(snapshot(form, 0.5), manifest(form), version: 4)
        let second = try #require(try await sampler.sample([task(9, minimum: 4)]))
        #expect(Set(second[0].policyVersions) == [4])
        // The old adapters are forgotten, their files too.
        while weights() == nil { try await Task.sleep(for: .milliseconds(10)) }
        let new = try #require(weights())
        #expect(new != old)
        check(second, weights: new)
        if !lora {
            let calls = fake.state.withLock { $0.calls }.filter { $0 != "/v1/completions" && $0 != "/health" }
            #expect(calls.suffix(4) == ["/pause", "/collective_rpc", "/reset_prefix_cache", "/resume"])
        }
    }

    /// The server knows nothing of stop texts: what it draws beyond one is left out.
    @Test func aTextEndsWhatAServerDraws() async throws {
        let server = try model.fake().start()
        defer { server.close() }
        let (sampler, form) = try await sampler(server.url, lora: true)
        await sampler.replaceWeights(snapshot(form, 0.25), manifest(form), version: 1)
        let whole = try #require(try await sampler.sample([task(1, minimum: 1)]))[0]
        var stopped = task(1, minimum: 1)
        stopped.sampling.stop = [String(decoding: whole.responseIDs[1...2].map { UInt8($0) }, as: UTF8.self)]
        let short = try #require(try await sampler.sample([stopped]))[0]
        #expect(short.responseIDs == Array(whole.responseIDs.prefix(3)) && short.finishReason == .stop)
        #expect(short.behaviourLogprobs == Array(whole.behaviourLogprobs.prefix(3)))
        #expect(whole.responseIDs.count == 4 && whole.finishReason == .length)
    }

    @Test(arguments: [true, false])
    func aServerThatRestartsIsBroughtTheWeightsAgain(_ lora: Bool) async throws {
        let fake = model.fake()
        var server = try fake.start()
        let port = server.port
        let (sampler, form) = try await sampler(server.url, lora: lora)
        await sampler.replaceWeights(snapshot(form, 0.25), manifest(form), version: 1)
        _ = try await sampler.sample([task(1, minimum: 1)])
        server.close()
        // What a process had is gone with it.
        fake.state.withLock { ($0.adapters, $0.weights) = ([:], 0) }
        let sampling = Task { try await sampler.sample([task(2, minimum: 1), task(3, minimum: 1)]) }
        while sampler.trouble == nil { try await Task.sleep(for: .milliseconds(20)) }
        server = try fake.start(port: port)
        defer { server.close() }
        let done = try #require(try await sampling.value)
        let weights = fake.state.withLock { lora ? ($0.adapters.values.first ?? -1) : $0.weights }
        #expect(weights != 0)
        check(done, weights: weights)
        #expect(sampler.trouble == nil)
    }

    @Test func aServerThatWasStartedAgainInPeaceIsFoundOut() async throws {
        let fake = model.fake()
        var server = try fake.start()
        let port = server.port
        let (sampler, form) = try await sampler(server.url, lora: false)
        await sampler.replaceWeights(snapshot(form, 0.25), manifest(form), version: 1)
        _ = try await sampler.sample([task(1, minimum: 1)])
        // Nothing is under way when it goes and comes back, with the weights it was started from.
        server.close()
        fake.state.withLock { $0.weights = 0 }
        server = try fake.start(port: port)
        defer { server.close() }
        let done = try #require(try await sampler.sample([task(2, minimum: 1)]))
        let weights = fake.state.withLock { $0.weights }
        #expect(weights != 0)
        check(done, weights: weights)
    }

    @Test(arguments: [true, false])
    func weightsThatAreTakenAndNotUsedEndIt(_ lora: Bool) async throws {
        let fake = model.fake(.init(keepsOldWeights: true))
        let server = try fake.start()
        defer { server.close() }
        let (sampler, form) = try await sampler(server.url, lora: lora)
        await sampler.replaceWeights(snapshot(form, 0.25), manifest(form), version: 1)
        _ = try await sampler.sample([task(1, minimum: 1)])
        await sampler.replaceWeights(snapshot(form, 0.5), manifest(form), version: 2)
        let error = await #expect(throws: EngineError.self) { try await sampler.sample([task(2, minimum: 2)]) }
        #expect(error?.message.contains("does not use them") == true)
    }

    @Test func cancelledTasksNeverCome() async throws {
        let fake = model.fake(.init(replies: [:]))
        let server = try fake.start()
        defer { server.close() }
        let (sampler, form) = try await sampler(server.url, lora: true)
        await sampler.replaceWeights(snapshot(form, 0.25), manifest(form), version: 1)
        _ = try await sampler.sample([task(1, minimum: 1)])
        fake.state.withLock { $0.faults.replies["/v1/completions"] = [.hang] }
        try await sampler.submit([task(2, minimum: 1), task(3, minimum: 99)])
        while fake.state.withLock({ $0.faults.replies["/v1/completions"]?.isEmpty == false }) {
            try await Task.sleep(for: .milliseconds(10))
        }
        let items: Set = [WorkItem(id: task(2).id, kind: .train), WorkItem(id: task(3).id, kind: .train)]
        await sampler.cancel(items)
        for try await event in sampler.events {
            if case .cancelled(let cancelled) = event {
                #expect(cancelled == items)
                break
            }
            if case .completed = event { Issue.record("a cancelled task came") }
        }
        #expect(try await sampler.sample([task(4, minimum: 1)])?.count == 1)
    }

    @Test func refusesWhatTheServerHasNoRoomFor() async throws {
        let server = try model.fake().start()
        defer { server.close() }
        let (sampler, form) = try await sampler(server.url, lora: true)
        await sampler.replaceWeights(snapshot(form, 0.25), manifest(form), version: 1)
        await #expect(throws: EngineError.self) { try await sampler.submit([task(1, maxTokens: 99)]) }
        var warm = task(1)
        warm.sampling.temperature = 0.7
        let warmTask = warm
        let error = await #expect(throws: EngineError.self) { try await sampler.submit([warmTask]) }
        #expect(error?.message.contains("processed_logprobs") == true)
    }

    @Test func aTeacherSamplesWithWeightsOfItsOwn() async throws {
        let fake = model.fake()
        let server = try fake.start()
        defer { server.close() }
        let factory = ServerEngineFactory(native: NoEngine())
        let sampler = try await factory.sampler(model.reference([server.url]), SamplerOptions(slots: 4, threads: 1))
        #expect(sampler.weightByteCount == nil)
        let done = try #require(try await sampler.sample([task(1), task(2)]))
        check(done, weights: 0)
        #expect(done.allSatisfy { Set($0.policyVersions) == [0] })
    }

    @Test func foldersOfTheDeadAreRemoved() throws {
        let files = FileManager.default, place = model.folder.path
        // No process has such a number.
        try files.createDirectory(atPath: "\(place)/opd-server-99999999-a", withIntermediateDirectories: false)
        try files.createDirectory(atPath: "\(place)/opd-server-\(getpid())-b", withIntermediateDirectories: false)
        func names() throws -> Set<String> {
            Set(try files.contentsOfDirectory(atPath: place).filter { $0.hasPrefix("opd-server-") })
        }
        do {
            let folder = try SharedFolder(in: place)
            #expect(try names().count == 3 && files.fileExists(atPath: folder.path))
            folder.removeAbandoned()
            #expect(try names().count == 2 && files.fileExists(atPath: folder.path))
        }
        #expect(try names() == ["opd-server-\(getpid())-b"])
    }

    /// A worker that was killed had told the server to read its files, and vLLM dies when they vanish meanwhile.
    @Test func filesThatAServerMayBeReadingStayUntilItHasOthers() async throws {
        let server = try model.fake().start()
        defer { server.close() }
        let dead = "\(model.folder.path)/opd-server-99999999-a"
        try FileManager.default.createDirectory(atPath: dead, withIntermediateDirectories: false)
        let (sampler, form) = try await sampler(server.url, lora: false)
        #expect(FileManager.default.fileExists(atPath: dead))
        await sampler.replaceWeights(snapshot(form, 0.25), manifest(form), version: 1)
        _ = try await sampler.sample([task(1, minimum: 1)])
        #expect(!FileManager.default.fileExists(atPath: dead))
    }

    @Test func aServedFolderHasAHeadOfItsOwn() throws {
        let files = try StudentFiles(model.path)
        let form = try PolicyForm(files, adapters: nil, type: .f32)
        let folder = model.folder.path + "/served"
        try form.write(snapshot(form, 0.25), manifest(form), version: 1, to: folder)
        let served = try ModelFiles.open(folder)
        #expect(!served.configuration.tiedEmbeddings)
        #expect(served.tensorNames.contains("lm_head.weight"))
        #expect(throws: EngineError.self) {
            try form.write(WeightBytes(count: 8) { _ in }, manifest(form), version: 1, to: folder)
        }
    }

    /// A folder of a family that is not read here, with the tokenizer of another.
    private func strange(_ name: String, tied: Bool) throws -> String {
        let folder = "\(model.folder.path)/\(name)", fileManager = FileManager.default
        try fileManager.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try fileManager.copyItem(atPath: "\(model.path)/tokenizer.json", toPath: "\(folder)/tokenizer.json")
        try writeText(
            """
            {"model_type": "gpt_neox", "vocab_size": \(model.text.tokenizer.vocabularySize), "eos_token_id": 2,
            "max_position_embeddings": 200, "torch_dtype": "float16", "tie_word_embeddings": \(tied)}
            """, to: "\(folder)/config.json")
        let count = model.text.tokenizer.vocabularySize
        var tensors: [SafetensorsWriter.Entry] = [
            .init("gpt_neox.embed_in.weight", .f32, [count, 4]), .init("gpt_neox.layers.0.mlp.bias", .f32, [4]),
        ]
        if !tied { tensors.append(.init("embed_out.weight", .f32, [count, 4])) }
        var writer = try SafetensorsWriter("\(folder)/model.safetensors", entries: tensors)
        for tensor in tensors {
            try [UInt8](repeating: 0, count: tensor.byteCount).withUnsafeBytes { try writer.append($0) }
        }
        try writer.finish()
        return folder
    }

    /// Its weights go by their own names, with the configuration that they came with.
    @Test func anotherFamilyIsServedAsItsFilesAre() throws {
        let folder = try strange("neox", tied: false), served = model.folder.path + "/served"
        let form = try PolicyForm(StudentFiles(folder), adapters: nil, type: .f32)
        try form.write(snapshot(form, 0.25), manifest(form), version: 1, to: served)
        let found = try OtherFamilyFolder(served), given = try OtherFamilyFolder(folder)
        #expect(found.manifest(matrixType: .f32).entries == given.manifest(matrixType: .f32).entries)
        #expect(try found.fingerprint() != given.fingerprint())
        #expect(found.configuration["model_type"]?.string == "gpt_neox")
        #expect(found.configuration["torch_dtype"]?.string == "float32")
    }

    /// A head that follows nothing, and adapters that nobody here can name, are refused before the server is asked.
    @Test func whatAServerCannotBeBroughtIsRefused() async throws {
        let factory = ServerEngineFactory(native: NoEngine())
        let given = AdapterOptions(rank: 2, alpha: 4, targets: [], seed: 1)
        for (folder, adapters, words) in [
            (try strange("tied", tied: true), nil, "rollout.engine: the head of"),
            (try strange("open", tied: false), given, "adapters of the"),
        ] {
            var reference = model.reference(["http://127.0.0.1:1"])
            reference.server?.takesWeights = true
            (reference.path, reference.adapters) = (folder, adapters)
            let asked = reference
            let refusal = await #expect(throws: EngineRefusal.self) { try await factory.describe(asked) }
            #expect(refusal?.reason.contains(words) == true)
            #expect(throws: EngineRefusal.self) {
                try PolicyForm(StudentFiles(folder), adapters: adapters, type: .f32)
            }
        }
    }
}

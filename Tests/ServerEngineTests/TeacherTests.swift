import Distillation
import Engines
import Foundation
import JSON
import Locking
import Models
import ServerEngine
import TestSupport
import Testing
import Wire
import Wording

/// A model that reads bytes, and what fake servers know of it.
struct ByteModel {
    let folder: TemporaryFolder
    let text: ModelText

    init() throws {
        folder = try TemporaryFolder()
        let shape = ModelShape(layers: 1, hidden: 32, heads: 2, keyValueHeads: 1, intermediate: 32, context: 200)
        try ModelInitializer.write(to: folder.path + "/m", shape: shape, seed: 3)
        let files = try ModelFiles.open(folder.path + "/m")
        text = ModelText(tokenizer: try files.loadTokenizer(), templates: try files.chatTemplates())
    }

    var path: String { folder.path + "/m" }

    func fake(_ faults: FakeVLLM.Faults = .init()) -> FakeVLLM {
        let tokenizer = text.tokenizer
        return FakeVLLM(faults) { (try? tokenizer.encode($0)) ?? [] }
    }

    func reference(_ urls: [String], model: String? = nil) -> ModelReference {
        var reference = ModelReference(path: path, type: .f32)
        var server = ServerReference(kind: .vllm, urls: urls, model: model, key: "teachers.default.server")
        server.timeout = .seconds(20)
        server.patience = .seconds(2)
        reference.server = server
        return reference
    }
}

/// Stands where nothing native is asked.
struct NoEngine: EngineFactory {
    struct None: Error {}
    func describe(_ model: ModelReference) throws -> ModelDescription { throw None() }
    func trainer(
        _ model: ModelReference, _ options: TrainerOptions
    ) throws -> any TrainingBackend & SupervisedBackend { throw None() }
    func sampler(_ model: ModelReference, _ options: SamplerOptions) throws -> any RolloutBackend { throw None() }
    func evaluator(_ model: ModelReference, _ options: SamplerOptions) throws -> any RolloutBackend & ScoringBackend {
        throw None()
    }
    func scorer(_ model: ModelReference, _ options: ScorerOptions) throws -> any ScoringBackend { throw None() }
    func create(_ shape: InitialShape, seed: UInt64, at path: String) throws -> Int { throw None() }
}

/// Teachers at servers that come, go, and answer wrongly.
@Suite(.timeLimit(.minutes(5))) struct TeacherTests {
    private let model: ByteModel
    private let factory = ServerEngineFactory(native: NoEngine())

    init() throws { model = try ByteModel() }

    private func tasks(_ count: Int, seed: Int = 0) -> [ScoreTask] {
        (0..<count).map { number in
            ScoreTask(
                id: RolloutID(group: UInt64(number), sample: 0), kind: .train, teacher: "default",
                ids: (0..<(5 + number % 7)).map { Int32((number * 31 + $0 * 17 + seed) % 250) }, promptCount: 2,
                leaseID: 0)
        }
    }

    private func expected(_ task: ScoreTask) -> [Float] {
        (task.promptCount..<task.ids.count).map {
            Float(FakeVLLM.logprob(task.ids[$0], after: task.ids[$0 - 1], weights: 0))
        }
    }

    /// Grades all at once, as a scorer does.
    private func grade(_ teacher: any ScoringBackend, _ tasks: [ScoreTask]) async throws -> Bool {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for task in tasks {
                group.addTask { try await teacher.score([task]) == [expected(task)] }
            }
            return try await group.reduce(true) { $0 && $1 }
        }
    }

    @Test func gradesManySequencesAtOnceOverSeveralServers() async throws {
        let fakes = [model.fake(), model.fake()]
        let servers = try fakes.map { try $0.start() }
        defer { for server in servers { server.close() } }
        let teacher = try await factory.scorer(model.reference(servers.map(\.url)), ScorerOptions(threads: 1))
        #expect(teacher.tokenizerFingerprint == model.text.tokenizer.fingerprint)
        #expect(!teacher.isReproducible)
        #expect(teacher.preferredBatch.pieces == 128)
        #expect(try await grade(teacher, tasks(60)))
        for server in servers { #expect(server.requests.count { $0.path == "/v1/completions" } > 12) }
        #expect(teacher.trouble == nil)
    }

    @Test func describesTheModelByServerAndTokenizer() async throws {
        let server = try model.fake().start()
        defer { server.close() }
        let description = try await factory.describe(model.reference([server.url]))
        // A token is sampled beside what is graded.
        #expect(description.contextLength == 99)
        #expect(description.vocabularySize == 258 || description.vocabularySize > 255)
        #expect(description.tokenizerFingerprint == model.text.tokenizer.fingerprint)
        #expect(description.forwardCost == nil)
    }

    @Test(arguments: ["drop", "hang", "500", "page", "nothing", "null", "short", "long"])
    func wrongAnswersCostTimeOnly(_ fault: String) async throws {
        let replies: [FakeServer.Reply]
        switch fault {
        case "drop": replies = [.drop, .drop]
        case "hang": replies = [.hang]
        case "500": replies = [.answer(500, "{\"error\": {\"message\": \"EngineDeadError\"}}")]
        case "page": replies = [.answer(200, "<html>busy</html>")]
        case "nothing": replies = [.answer(200, "")]
        case "null": replies = [.answer(200, "{\"choices\": [{\"prompt_logprobs\": [null, null]}]}")]
        case "short": replies = [.short(announced: 4000, "{\"choices\": ")]
        default: replies = [.answer(200, String(repeating: " ", count: 3 << 20))]
        }
        let fake = model.fake()
        let server = try fake.start()
        defer { server.close() }
        var reference = model.reference([server.url])
        reference.server?.timeout = .milliseconds(fault == "hang" ? 700 : 20_000)
        let teacher = try await factory.scorer(reference, ScorerOptions(threads: 1))
        fake.state.withLock { $0.faults.replies["/v1/completions"] = replies }
        #expect(try await grade(teacher, tasks(6)))
        #expect(teacher.trouble == nil)
    }

    /// Nobody listens, or somebody who never answers, or knows nothing: one line within the time that was given.
    @Test(arguments: ["nobody", "hangs", "hangs later", "fails"]) func aServerThatIsNotThereEndsTheStart(
        _ what: String
    ) async throws {
        let fake = model.fake()
        let path = what == "hangs" ? "/v1/models" : "/v1/completions"
        let reply: FakeServer.Reply = what == "fails" ? .answer(500, "engine dead") : .hang
        fake.state.withLock { $0.faults.replies[path] = [FakeServer.Reply](repeating: reply, count: 99) }
        let server = try fake.start()
        if what == "nobody" { server.close() }
        defer { server.close() }
        var patient = model.reference([server.url])
        patient.server?.timeout = .milliseconds(1_000_000)
        let reference = patient, begun = ContinuousClock.now
        let failure = await #expect(throws: EngineError.self) {
            _ = try await factory.scorer(reference, ScorerOptions(threads: 1))
        }
        // 2 s are given, and a request may take 1000.
        #expect(begun.duration(to: .now) < .seconds(500))
        #expect(failure?.isAbsence == true)
        let text = try #require(failure).description
        #expect(text.hasPrefix("teachers.default.server: \(server.url): "))
        #expect(text.contains("no server has answered for 2 s (teachers.default.server.start_timeout_s)"))
    }

    /// Somebody who answers, and never as the server would that is meant, is not awaited again and again.
    @Test func wrongAnswersEndTheStartAsAFailure() async throws {
        let fake = model.fake()
        fake.state.withLock {
            $0.faults.replies["/v1/completions"] = [FakeServer.Reply](
                repeating: .answer(200, "<html>welcome</html>"), count: 99)
        }
        let server = try fake.start()
        defer { server.close() }
        let reference = model.reference([server.url])
        let failure = await #expect(throws: EngineError.self) {
            _ = try await factory.scorer(reference, ScorerOptions(threads: 1))
        }
        #expect(failure?.isAbsence == false)
        let text = try #require(failure).description
        #expect(text.contains("no answer was right for 2 s (teachers.default.server.start_timeout_s)"), "\(text)")
    }

    /// A server that hangs keeps no other from its turn.
    @Test func oneOfSeveralServersIsEnough() async throws {
        let fakes = [model.fake(), model.fake()]
        fakes[0].state.withLock { $0.faults.replies["/v1/models"] = [.hang, .hang, .hang] }
        let servers = try fakes.map { try $0.start() }
        defer { for server in servers { server.close() } }
        let teacher = try await factory.scorer(model.reference(servers.map(\.url)), ScorerOptions(threads: 1))
        #expect(try await grade(teacher, tasks(4)))
    }

    @Test func whoSamplesMayFillTheContext() async throws {
        let server = try model.fake().start()
        defer { server.close() }
        var reference = model.reference([server.url])
        reference.server?.takesWeights = true
        #expect(try await factory.describe(reference).contextLength == 100)
    }

    @Test func aServerThatRestartsIsNamedMeanwhileAndAskedWhatItHas() async throws {
        let fake = model.fake()
        var server = try fake.start()
        let port = server.port
        let teacher = try await factory.scorer(model.reference([server.url]), ScorerOptions(threads: 1))
        #expect(try await grade(teacher, tasks(3)))
        server.close()
        let grading = Task { try await grade(teacher, tasks(10)) }
        while teacher.trouble == nil { try await Task.sleep(for: .milliseconds(20)) }
        #expect(teacher.trouble?.contains("http://127.0.0.1:\(port)") == true)
        let listings = fake.state.withLock { $0.calls.count { $0 == "/v1/models" } }
        server = try fake.start(port: port)
        defer { server.close() }
        #expect(try await grading.value)
        #expect(teacher.trouble == nil)
        #expect(fake.state.withLock { $0.calls.count { $0 == "/v1/models" } } > listings)
    }

    @Test func aServerThatComesBackWithAnotherModelIsRefused() async throws {
        let fake = model.fake()
        var server = try fake.start()
        let teacher = try await factory.scorer(model.reference([server.url]), ScorerOptions(threads: 1))
        let port = server.port
        server.close()
        fake.state.withLock { $0.weights = 31 }
        server = try fake.start(port: port)
        defer { server.close() }
        let error = await #expect(throws: UsageError.self) { try await grade(teacher, tasks(2)) }
        #expect(error?.message.contains("another model than before") == true)
    }

    @Test func wrongAnswersWithoutEndEndIt() async throws {
        let fake = model.fake()
        let server = try fake.start()
        defer { server.close() }
        let teacher = try await factory.scorer(model.reference([server.url]), ScorerOptions(threads: 1))
        let zeros = "{\"choices\": [{\"prompt_logprobs\": [null, {\"1\": {\"logprob\": 0}}]}]}"
        fake.state.withLock { $0.faults.replies["/v1/completions"] = Array(repeating: .answer(200, zeros), count: 50) }
        let error = await #expect(throws: EngineError.self) { try await teacher.score(tasks(1)) }
        #expect(error?.message.contains("4 wrong answers") == true)
        // What the server refuses is not asked again.
        fake.state.withLock {
            $0.faults.replies["/v1/completions"] = [.answer(400, "{\"message\": \"out of vocabulary\"}")]
        }
        let refusal = await #expect(throws: EngineError.self) { try await teacher.score(tasks(1)) }
        #expect(refusal?.message.contains("out of vocabulary") == true)
        let long = ScoreTask(
            id: RolloutID(group: 0, sample: 0), kind: .train, teacher: "", ids: Array(repeating: 1, count: 100),
            promptCount: 1, leaseID: 0)
        let tooLong = await #expect(throws: EngineError.self) { try await teacher.score([long]) }
        #expect(tooLong?.message.contains("room for 99") == true)
    }

    private func refusal(_ faults: FakeVLLM.Faults, model name: String? = nil) async throws -> String {
        let server = try model.fake(faults).start()
        defer { server.close() }
        do {
            _ = try await factory.scorer(model.reference([server.url], model: name), ScorerOptions(threads: 1))
            return "taken"
        } catch {
            return "\(error)"
        }
    }

    @Test func theStartProbeRefusesWhatDoesNotFit() async throws {
        #expect(try await refusal(.init()) == "taken")
        #expect(try await refusal(.init(), model: "m") == "taken")
        #expect(try await refusal(.init(), model: "x").contains("has no model 'x'; it has 'm'"))
        #expect(try await refusal(.init(names: ["a", "b"])).contains("several models, 'a', 'b'"))
        #expect(try await refusal(.init(shift: 1)).contains("reads text as other ids"))
        #expect(try await refusal(.init(drift: 0.01)).contains("differ by"))
        let missing = try await refusal(.init(replies: ["/tokenize": [.answer(404, "")]]))
        #expect(missing == "taken", "a server need not tell how it reads text")
        let closed = [FakeServer.Reply.answer(401, "{\"error\": \"Unauthorized\"}")]
        #expect(try await refusal(.init(replies: ["/v1/models": closed])).contains("key_file"), "it is not asked again")
        let page = Array(repeating: FakeServer.Reply.answer(200, "<html>"), count: 50)
        #expect(try await refusal(.init(replies: ["/v1/models": page])).contains("/v1/models: not valid JSON"))
    }

    @Test func aServerThatIsNotThereIsOneLine() async throws {
        let error = await #expect(throws: EngineError.self) {
            try await factory.scorer(model.reference(["http://127.0.0.1:9"]), ScorerOptions(threads: 1))
        }
        #expect(error?.message.contains("teachers.default.server: http://127.0.0.1:9: ") == true)
        #expect(error?.message.contains("\n") == false)
        // One of two is enough to begin with.
        let server = try model.fake().start()
        defer { server.close() }
        let teacher = try await factory.scorer(
            model.reference(["http://127.0.0.1:9", server.url]), ScorerOptions(threads: 1))
        #expect(try await grade(teacher, tasks(5)))
        #expect(teacher.trouble?.contains("http://127.0.0.1:9") ?? true)
    }

    @Test func aKeyIsReadFromAFileForItsOwnerAlone() async throws {
        let server = try model.fake().start()
        defer { server.close() }
        let path = model.folder.path + "/key"
        try model.folder.write("s3cret\n", "key")
        var reference = model.reference([server.url])
        reference.server?.keyFile = path
        for mode: mode_t in [0o644, 0o640, 0o604, 0o602, 0o700, 0o4600] {
            chmod(path, mode)
            let error = await #expect(throws: UsageError.self) {
                try await factory.scorer(reference, ScorerOptions(threads: 1))
            }
            #expect(error?.message.contains("chmod 600") == true)
            #expect(error?.message.contains("s3cret") == false)
        }
        chmod(path, 0o600)
        _ = try await factory.scorer(reference, ScorerOptions(threads: 1))
        #expect(server.requests.last?.headers["authorization"] == "Bearer s3cret")
        try model.folder.write("two words", "key")
        chmod(path, 0o600)
        await #expect(throws: UsageError.self) { try await factory.scorer(reference, ScorerOptions(threads: 1)) }
    }
}

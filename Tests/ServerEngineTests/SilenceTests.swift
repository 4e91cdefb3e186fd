import Distillation
import Engines
import Models
import ServerEngine
import Testing
import Wire

/// Servers that hang, and models that this process cannot hold beside them.
@Suite(.timeLimit(.minutes(5))) struct SilenceTests {
    private let model: ByteModel

    init() throws { model = try ByteModel() }

    private let task = ScoreTask(
        id: RolloutID(group: 0, sample: 0), kind: .train, teacher: "default", ids: [1, 2, 3], promptCount: 1,
        leaseID: 0)

    /// A request may take 20 seconds; the server is named after 10.
    @Test func aServerThatHangsIsNamedBeforeItsRequestsTimeOut() async throws {
        let fake = model.fake()
        let server = try fake.start()
        defer { server.close() }
        let teacher = try await ServerEngineFactory(native: NoEngine())
            .scorer(model.reference([server.url]), ScorerOptions(threads: 1))
        fake.state.withLock {
            $0.faults.replies = ["/v1/completions": [.hang], "/health": [.hang]]
        }
        let grading = Task { try await teacher.score([task]) }
        while teacher.trouble == nil { try await Task.sleep(for: .milliseconds(50)) }
        #expect(teacher.trouble?.contains("\(server.url): it has work and does not answer, for ") == true)
        #expect(try await grading.value.first?.count == 2)
        #expect(teacher.trouble == nil)
    }

    @Test func whatTheNativeEngineCannotHoldIsNotCompared() async throws {
        let reference = ModelReference(path: model.path, type: .f32)
        #expect(try await NativeComparison.attempt(reference, for: "key", freeBytes: nil) { 1 } == 1)
        #expect(try await NativeComparison.attempt(reference, for: "key") { 1 } == 1)
        // Its weights are some ten thousand numbers.
        #expect(try await NativeComparison.attempt(reference, for: "key", freeBytes: 4096) { 1 } == nil)
        let unknown = try await NativeComparison.attempt(reference, for: "key") { () throws -> Int in
            throw ModelError(.unsupported, "it is of another family")
        }
        #expect(unknown == nil)
        // Files that are wrong are not a model that is too large.
        await #expect(throws: ModelError.self) {
            try await NativeComparison.attempt(reference, for: "key") { () throws -> Int in
                throw ModelError(.malformed, "it is no model")
            }
        }
        await #expect(throws: (any Error).self) {
            try await NativeComparison.attempt(ModelReference(path: "/nowhere", type: .f32), for: "key") { 1 }
        }
    }
}

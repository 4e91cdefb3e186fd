import Configuration
import Distillation
import Engines
import Exchange
import Foundation
import Logging
import NativeEngine
import Pipeline
import RunFiles
import Runs
import Telemetry
import TestSupport
import Testing
import Transport
import Wire

/// What roles may assume of an engine: no more than its protocols say.
@Suite(.timeLimit(.minutes(3))) struct EngineSeamTests {
    @Test func aDistantEngineChangesNothing() async throws {
        let run = TestRun(plan: RunTests.runPlan), trainer = UnigramTrainer()
        let sampler = DistantSampler(), teacher = SlowTeacher()
        let learner = try run.learner(trainer: trainer)
        let members = [try run.worker(backend: sampler), try run.scorer(backend: teacher)]
        #expect(try await learner.run().end == .completed)
        for member in members { #expect(try await member.task.value == .shutdown("the run is complete")) }
        let reference = try await RunTests.reference.value
        // It promises nothing, and so is measured; that it keeps what it did not promise is seen.
        let mismatches = run.recorder.timeless.compactMap { $0.training?.mismatchMax }
        #expect(!mismatches.isEmpty && mismatches.allSatisfy { $0 == 0 })
        let metrics = run.recorder.timeless.map { line in
            var line = line
            line.training?.mismatchMean = nil
            line.training?.mismatchMax = nil
            return line
        }
        #expect(metrics == reference.metrics)
        #expect(await trainer.model == reference.model)
        #expect(await sampler.answered >= 8 * 6)
        #expect(await (1...2).contains(teacher.largest))
    }

    /// A worker hears what is cancelled while its engine says nothing, and takes no answer for an earlier lease as one
    /// for a later.
    @Test func whatIsCancelledIsHeardMeanwhile() async throws {
        let network = InProcessNetwork(), learner = network.learner(), peer = PeerID("worker")
        let sampler = ScriptedSampler()
        let worker = RolloutWorker(
            options: MemberOptions(name: "worker"), teachers: ["default"],
            transport: network.member(identity: "worker"), backend: sampler, logger: Logger(label: "test"))
        let running = Task { try await worker.run() }
        let delivered = Task {
            var trajectories: [RolloutResult] = []
            for await event in learner.events {
                guard case .message(let message, _) = event else { continue }
                switch message {
                case .hello:
                    let welcome = Welcome(
                        runID: "test", epoch: 1, heartbeatSeconds: 0.05, leaseSeconds: 60, version: 0)
                    try learner.send(.welcome(welcome), to: peer)
                case .leaseRequest where trajectories.isEmpty && sampler.submitted.isEmpty:
                    try learner.send(.rolloutGrant(RolloutGrant(groups: [group(1), group(2)])), to: peer)
                case .trajectories(let new):
                    trajectories += new.results
                    let items = new.results.map { WorkItem(id: $0.id, kind: $0.kind) }
                    try learner.send(.acknowledge(Acknowledge(items: items)), to: peer)
                    if trajectories.count == 2 {
                        try learner.send(.shutdown(Shutdown(reason: "done")), to: peer)
                    }
                default: break
                }
            }
            return trajectories
        }
        #expect(await eventually { sampler.submitted.count == 2 })
        let first = WorkItem(id: task(1).id, kind: .train)
        try learner.send(.revoke(Revoke(items: [first])), to: peer)
        #expect(await eventually { sampler.cancelled == [[first]] })
        // Granted again before the engine has confirmed, which still answers for the first lease.
        try learner.send(.rolloutGrant(RolloutGrant(groups: [group(1, lease: 2)])), to: peer)
        sampler.script.yield(.completed([UnigramModel.student.response(to: task(1), version: 7)]))
        try await Task.sleep(for: .milliseconds(300))
        #expect(sampler.submitted.count == 2)
        sampler.script.yield(.cancelled([first]))
        #expect(await eventually { sampler.submitted.count == 3 })
        let teacher = UnigramModel.teacher("default")
        let answers = [teacher.response(to: task(2), version: 0), teacher.response(to: task(1), version: 0)]
        sampler.script.yield(.completed(answers))
        #expect(try await running.value == .shutdown("done"))
        await learner.close()
        #expect(try await delivered.value.map(\.responseIDs) == answers.map(\.responseIDs))
    }

    @Test func anEngineThatFailsEndsItsWorker() async throws {
        let network = InProcessNetwork(), sampler = ScriptedSampler()
        let worker = RolloutWorker(
            options: MemberOptions(name: "worker"), transport: network.member(identity: "worker"), backend: sampler,
            logger: Logger(label: "test"))
        let running = Task { try await worker.run() }
        sampler.script.finish(throwing: EngineFailure())
        await #expect(throws: EngineFailure.self) { try await running.value }
    }

    private func task(_ group: UInt64) -> RolloutTask { self.group(group).tasks[0] }

    private func group(_ group: UInt64, lease: UInt64 = 1) -> RolloutGroup {
        RolloutGroup(
            leaseID: lease, kind: .train, group: group, samples: [0], promptIDs: [1, 2],
            sampling: SamplingSettings(maxTokens: 6, temperature: 1, topP: 1, topK: 0, stopTokenIDs: [0]),
            seed: 5 + group, minimumVersion: 0)
    }

    /// The processes of a run with another engine, and a teacher that is not on the learner's machine.
    @Test func anEngineCanBeChosen() async throws {
        let folder = try TemporaryFolder()
        let shape = InitialShape(layers: 1, hidden: 16, heads: 2, keyValueHeads: 1, intermediate: 8, context: 128)
        let parameters = try NativeEngineFactory().create(shape, seed: 1, at: "\(folder.path)/student")
        #expect(parameters > 0)
        let text = """
            name: chosen
            run_folder: \(folder.path)/run
            student: { model: \(folder.path)/student }
            teachers: { default: { model: \(folder.path)/elsewhere } }
            data: { task: "arithmetic:digits=1", task_prompts: 8, heldout_count: 2, prompts_per_step: 2, samples_per_prompt: 2 }
            sampling: { max_tokens: 4 }
            training: { steps: 2 }
            evaluation: { every: 1 }
            pipeline: { endpoint: "tcp://127.0.0.1:*" }
            """
        let configuration = try RunConfiguration.parse(text, source: "test", requiring: [.student]).configuration
        let engines = EngineChoice { _ in UnigramFactory() }
        let runFolder = try RunFolder.open(configuration.runFolder, resume: false)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        // On their own machine the teacher's files are there.
        var given = configuration
        given.teachers["default"]?.model = configuration.student.model
        let elsewhere = given
        let members = Task { [logger] in
            #expect(await eventually { runFolder.readEndpoint() != nil })
            let endpoint = try #require(runFolder.readEndpoint())
            async let worker = MemberProcess.run(
                .rollout(teacher: nil), elsewhere, connect: endpoint, name: "worker", engines: engines, logger: logger)
            async let scorer = MemberProcess.run(
                .scorer(teacher: "default"), elsewhere, connect: endpoint, name: "scorer", engines: engines,
                logger: logger)
            return try await [worker, scorer]
        }
        let end = try await LearnerProcess.run(
            configuration, folder: runFolder, start: .fresh, resumeCommand: "", engines: engines,
            progress: RunProgress(steps: 2, verbosity: .quiet), logger: logger)
        #expect(end.exitCode == 0 && end.summary.steps == 2)
        #expect(end.summary.klAfter != nil && end.summary.teacherPass == nil)
        // What the teacher costs is told by its member; its answers are not here.
        #expect(try #require(end.summary.cost).scoring > 0 && end.summary.uncountedTeachers.isEmpty)
        #expect(end.summary.unansweredTeachers == ["default"])
        #expect(end.summary.examples.allSatisfy { $0.teacher == nil })
        #expect(try await members.value == [0, 0])
    }
}

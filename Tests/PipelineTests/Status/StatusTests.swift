import Distillation
import Foundation
import Pipeline
import TestSupport
import Testing
import Transport
import Wire

/// A live run answers whoever asks how it is, and says by itself what it waits for.
@Suite(.timeLimit(.minutes(3))) struct StatusTests {
    @Test func aLiveRunTellsWhoWaitsForWhom() async throws {
        let run = TestRun(plan: plan(steps: 2, heldout: 0))
        let learner = try run.learner(trainer: UnigramTrainer(), leastSilence: .milliseconds(400))
        let running = Task { try await learner.run() }
        let empty = try await run.status()
        #expect(empty.members.isEmpty && empty.waitingFor == "waiting for a rollout worker: none is connected")
        #expect(empty.pendingGroups == 3 && empty.batch == .init(total: 6, missing: 6, ready: 0))
        // Its sequences take for ever: everything else waits for it.
        let slow = try run.worker("slow", backend: UnigramSampler(pause: .seconds(600)))
        var status = empty
        #expect(
            await eventually {
                status = (try? await run.status()) ?? status
                return status.waitingFor?.contains("slow has 6 (sampling 6") == true
            }, "\(status.waitingFor ?? "nobody")")
        #expect(status.waitingFor?.hasPrefix("waiting for 6 of 6 rollouts of step 1: ") == true)
        let member = try #require(status.members.first)
        #expect(member.name == "slow" && member.role == .rollout && member.tasks == 6 && member.leases == 3)
        #expect(status.leases == 3 && status.pendingGroups == 0 && status.doing == "waiting")
        #expect(await eventually { run.recorder.all.activities.contains { $0.contains("slow has 6") } })
        await slow.kill()
        let members = [try run.worker(), try run.scorer()]
        #expect(try await running.value.end == .completed)
        for member in members { _ = try await member.task.value }
    }

    @Test func nobodyAnswers() async throws {
        let run = TestRun(plan: plan())
        let error = await #expect(throws: StatusError.self) { _ = try await run.status(patience: .milliseconds(50)) }
        #expect(error?.message.contains("no learner has answered at here for 0 s") == true)
    }

    @Test func aLongStepIsTold() async throws {
        let run = TestRun(plan: plan(steps: 1, heldout: 0))
        let learner = try run.learner(
            trainer: UnigramTrainer(duration: .milliseconds(900)), longStep: .milliseconds(100))
        let members = [try run.worker(), try run.scorer()]
        _ = try await learner.run()
        for member in members { _ = try await member.task.value }
        #expect(run.recorder.all.activities.contains { $0.hasPrefix("training step 1 for ") })
    }

    /// Nothing of anybody else is missing then: without a word it would look as if nothing was the matter.
    @Test func aDiskThatTakesItsTimeIsTold() async throws {
        let run = TestRun(plan: plan(steps: 2, heldout: 0), checkpointEvery: 1)
        let learner = try run.learner(trainer: UnigramTrainer(saving: 0.9), longStep: .milliseconds(100))
        let members = [try run.worker(), try run.scorer()]
        _ = try await learner.run()
        for member in members { _ = try await member.task.value }
        #expect(run.recorder.all.activities.contains { $0.hasPrefix("saving a checkpoint for 0 s") })
    }

    @Test func textForPeopleAndForPrograms() throws {
        var status = Status(runID: "a\u{1b}[2J", epoch: 1, version: 3, steps: 40)
        (status.doing, status.waitingFor, status.waitingSeconds) = ("waiting", "waiting for 2 rollouts", 61)
        status.batch = .init(total: 8, missing: 2, ready: 5)
        status.queues = [.init(teacher: "math", waiting: 1)]
        (status.generated, status.trained, status.inFlight) = (90, 60, 30)
        status.members = [
            .init(
                name: "rollout-0", role: .rollout, teachers: [], leases: 1, tasks: 2, window: 64,
                state: "sampling \"2\"", tokensPerSecond: 12.5, version: MemberStatus.noVersion, silenceSeconds: 0.25)
        ]
        let lines = status.text.split(separator: "\n").map(String.init)
        #expect(lines[0] == "run a?[2J: step 3 of 40, up for 0:00")
        #expect(lines[2] == "waiting for 2 rollouts; nothing has come for 1:01")
        #expect(lines[3] == "next batch: 6 sampled and 5 graded of 8")
        #expect(lines[4] == "queues: 0 prompts, 1 responses for teacher 'math'; 0 leases out")
        #expect(lines[5] == "tokens: 90 generated = 60 trained + 0 discarded + 30 in flight")
        #expect(lines.last == "rollout-0  rollout  2/64   1       -        13     0.3 s   sampling \"2\"")
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(status.json.utf8)) as? [String: Any])
        #expect(object["version"] as? Int == 3 && object["evaluation"] is NSNull)
        let member = try #require((object["members"] as? [[String: Any]])?.first)
        #expect(member["state"] as? String == "sampling \"2\"" && member["version"] is NSNull)
    }
}

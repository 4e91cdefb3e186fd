import JSON
import RunFiles
import Testing
import Wire

@Suite struct StatusReadingTests {
    private var status: Status {
        var status = Status(runID: "run \"1\"\n", epoch: 0, version: 3, steps: 10)
        status.uptimeSeconds = 0.1 + 0.2
        status.doing = "training"
        status.waitingFor = "rollout-0"
        status.waitingSeconds = 1e-9
        status.batch = .init(total: 8, missing: 2, ready: 5)
        status.evaluation = .init(total: 4, missing: 1, ready: 0)
        status.pendingGroups = 7
        status.queues = [.init(teacher: "big", waiting: 3)]
        status.leases = 2
        (status.generated, status.trained, status.discarded, status.inFlight) = (90, 60, 0, 30)
        status.members = [
            .init(
                name: "rollout-0", role: .rollout, teachers: [], leases: 1, tasks: 2, window: 64, state: "sampling",
                tokensPerSecond: 13.25, version: MemberStatus.noVersion, silenceSeconds: 0.25),
            .init(
                name: "scorer-0", role: .scorer, teachers: ["big", "small"], leases: 1, tasks: 2, window: 64,
                state: "idle", tokensPerSecond: 0, version: 2, silenceSeconds: 0.5),
        ]
        return status
    }

    @Test func statusIsReadAsItWasWritten() throws {
        #expect(try Status(json: status.json) == status)
        let quiet = Status(runID: "", epoch: 0, version: 0, steps: 0)
        #expect(try Status(json: quiet.json) == quiet)
    }

    @Test func whatIsNoStatusIsRefused() {
        for text in ["", "[]", "{}", status.json.replacing("\"rollout\"", with: "\"chef\"")] {
            #expect(throws: JSONFieldError.self) { try Status(json: text) }
        }
    }
}

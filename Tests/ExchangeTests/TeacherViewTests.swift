import Distillation
import Exchange
import TestSupport
import Testing
import Wire

/// Prompts of which their teachers are shown another form than the student.
@Suite struct TeacherViewTests {
    private static let worker = PeerID("worker"), scorer = PeerID("scorer")

    private static func plan(sampler: String? = nil) -> RunPlan {
        var plan = TestSupport.plan(
            steps: 1, prompts: 2, samples: 1, heldout: 1, teachers: [sampler == nil ? "default" : nil])
        plan.shuffle = false
        for index in plan.prompts.indices {
            plan.prompts[index].sampler = sampler
            // Every other prompt is the teacher's own.
            if index % 2 == 0 { plan.prompts[index].teacherView = PromptView(ids: [9, 9, Int32(index)], text: "") }
        }
        return plan
    }

    private func join(_ exchange: inout Exchange, _ role: Role, teachers: [String]) -> [Message] {
        let peer = role == .rollout ? Self.worker : Self.scorer
        let hello = Hello(
            role: role, name: peer.description, tokenizerFingerprint: nil, teachers: teachers, processID: 1)
        let actions =
            exchange.receive(.hello(hello), from: peer, now: .zero)
            + exchange.receive(.leaseRequest(LeaseRequest(count: 9, epoch: 9)), from: peer, now: .zero)
        return actions.compactMap { if case .send(let message, _) = $0 { message } else { nil } }
    }

    private func rollouts(_ messages: [Message]) -> [RolloutTask] {
        messages.flatMap { message -> [RolloutTask] in
            if case .rolloutGrant(let grant) = message { grant.groups.flatMap(\.tasks) } else { [] }
        }
    }

    private func trajectories(_ tasks: [RolloutTask]) -> Message {
        let trajectories = tasks.map { task in
            Trajectory(
                id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs, responseIDs: [3, 4],
                behaviourLogprobs: [-1, -1], policyVersions: PolicyVersions(repeating: 0, count: 2),
                finishReason: .stop, temperature: 1)
        }
        return .trajectories(Trajectories(trajectories: trajectories, epoch: 9))
    }

    @Test func theTeacherGradesTheResponseAfterItsOwnPrompt() throws {
        var exchange = Exchange(plan: Self.plan(), options: ExchangeOptions(runID: "r"), epoch: 9)
        _ = join(&exchange, .scorer, teachers: ["default"])
        let tasks = rollouts(join(&exchange, .rollout, teachers: []))
        #expect(tasks.map(\.promptIDs) == [[1, 0], [1, 1]])
        let actions = exchange.receive(trajectories(tasks), from: Self.worker, now: .zero)
        let graded = actions.flatMap { action -> [ScoreTask] in
            if case .send(.scoreGrant(let grant), _) = action { grant.tasks } else { [] }
        }
        #expect(graded.map(\.promptIDs) == [[9, 9, 0], [1, 1]] && graded.allSatisfy { $0.responseIDs == [3, 4] })
        let scores = graded.map { Score(id: $0.id, kind: $0.kind, logprobs: [-2, -3]) }
        _ = exchange.receive(.scores(Scores(scores: scores, epoch: 9)), from: Self.scorer, now: .zero)
        #expect(exchange.audit() == nil)
        // What is trained on follows the student's prompt.
        let batch = try #require(exchange.batch())
        #expect(batch.map(\.trajectory.promptIDs) == [[1, 0], [1, 1]])
        #expect(batch.map(\.teacherPromptIDs) == [[9, 9, 0], nil])
        #expect(batch.allSatisfy { $0.teacherLogprobs == [-2, -3] })
    }

    @Test func theTeacherSamplesAfterItsOwnPromptWhatTheStudentImitates() throws {
        var plan = Self.plan(sampler: "a")
        plan.stepsAhead = 1
        var exchange = Exchange(plan: plan, options: ExchangeOptions(runID: "r"), epoch: 9)
        let tasks = rollouts(join(&exchange, .rollout, teachers: ["a"]))
        #expect(tasks.map(\.promptIDs) == [[9, 9, 0], [1, 1]])
        _ = exchange.receive(trajectories(tasks), from: Self.worker, now: .zero)
        #expect(exchange.batch()?.map(\.trajectory.promptIDs) == [[1, 0], [1, 1]])
    }

    @Test func aScorerNeedsRoomForWhatItIsShown() {
        for (role, length, isWelcome) in [(Role.scorer, 9, true), (.scorer, 8, false), (.scorer, 0, true)] {
            var exchange = Exchange(plan: Self.plan(), options: ExchangeOptions(runID: "r"), epoch: 9)
            let hello = Hello(
                role: role, name: "s", tokenizerFingerprint: nil, teachers: ["default"], processID: 1,
                teacher: TeacherDescription(contextLength: length))
            let rejects = exchange.receive(.hello(hello), from: Self.scorer, now: .zero).contains {
                if case .send(.reject(let reject), _) = $0 { reject.code == .unsuitableTeacher } else { false }
            }
            #expect(rejects != isWelcome, "\(length)")
        }
    }

    /// A checkpoint goes on only with the prompts that teachers were shown before.
    @Test func theDigestKnowsWhatTeachersAreShown() {
        let plan = Self.plan()
        var other = plan.prompts
        other[0].teacherView?.ids[2] = 8
        var without = plan.prompts
        for index in without.indices { without[index].teacherView = nil }
        let digests = [plan.prompts, other, without].map(Prompt.digest)
        #expect(Set(digests).count == 3)
        #expect(Prompt.digest(TestSupport.plan(teachers: ["default"]).prompts) == digests[2])
    }

    /// The operations are those of what each of them reads.
    @Test func costsFollowWhatIsRead() {
        let model = CostModel(student: { Double($0 + $1) }, teachers: ["default": { Double(100 * ($0 + $1)) }])
        let trajectory = Trajectory(
            id: RolloutID(group: 0, sample: 0), kind: .train, teacher: "default", promptIDs: [1], responseIDs: [2, 3],
            behaviourLogprobs: [0, 0], policyVersions: PolicyVersions(repeating: 0, count: 2), finishReason: .stop,
            temperature: 1)
        var scored = ScoredTrajectory(trajectory: trajectory, teacherLogprobs: [0, 0])
        var same = RunCost(), longer = RunCost()
        model.add([scored], isTrained: true, to: &same)
        scored.teacherPromptIDs = [1, 2, 3]
        model.add([scored], isTrained: true, to: &longer)
        #expect((same.scoring, longer.scoring) == (300, 500))
        #expect((same.sampling, same.training) == (longer.sampling, longer.training))
    }
}

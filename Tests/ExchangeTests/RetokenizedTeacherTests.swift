import Distillation
import Exchange
import TestSupport
import Testing
import Tokens
import Wire

/// Teachers that read responses in tokens of their own.
@Suite struct RetokenizedTeacherTests {
    private static let worker = PeerID("worker"), scorer = PeerID("scorer")

    /// Two tokens of the teacher for every one of the student but the last, which is one; token 9 is none at all.
    private static func retokenized(_ ids: [Int32], _ isCutOff: Bool) -> RetokenizedResponse {
        var result = RetokenizedResponse()
        for (index, id) in ids.enumerated() {
            if id == 9 {
                result.append([], [TokenSpan(count: 1, otherCount: 0, isComparable: false)])
            } else if index == ids.count - 1 {
                result.append([id + 100], [TokenSpan(count: 1, otherCount: 1)])
            } else {
                result.append([id + 100, id + 200], [TokenSpan(count: 1, otherCount: 2)])
            }
        }
        if isCutOff { result.leaveOpen() }
        return result
    }

    private static func exchange(others: [PromptTeacher] = []) -> Exchange {
        var plan = TestSupport.plan(steps: 1, prompts: 1, samples: 1, heldout: 0)
        for index in plan.prompts.indices {
            plan.prompts[index].teacherView = PromptView(ids: [7, 7, 7], text: "")
            plan.prompts[index].others = others
            if !others.isEmpty { plan.prompts[index].share = 0.5 }
        }
        var options = ExchangeOptions(runID: "r", vocabularySize: 50)
        options.retokenizers = ["default": { Self.retokenized($0, $1) }]
        return Exchange(plan: plan, options: options, epoch: 9)
    }

    private static func messages(_ actions: [Exchange.Action]) -> [Message] {
        actions.compactMap { if case .send(let message, _) = $0 { message } else { nil } }
    }

    private static func receive(_ exchange: inout Exchange, _ message: Message, _ peer: PeerID) -> [Message] {
        let actions = exchange.receive(message, from: peer, now: .zero)
        #expect(exchange.audit() == nil)
        return messages(actions)
    }

    /// Has a worker sample one response, and a scorer ask for it.
    private static func grade(
        _ exchange: inout Exchange, _ ids: [Int32], b: [Float], context: Int = 0, rows: Int = 0
    ) -> [ScoreTask] {
        let description = TeacherDescription(contextLength: context, vocabularySize: rows)
        _ = receive(
            &exchange,
            .hello(Hello(role: .rollout, name: "w", tokenizerFingerprint: nil, processID: 1)), worker)
        let granted = receive(&exchange, .leaseRequest(LeaseRequest(count: 1, epoch: 9)), worker)
        for case .rolloutGrant(let grant) in granted {
            let trajectories = grant.groups.flatMap(\.tasks).map { task in
                Trajectory(
                    id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs, responseIDs: ids,
                    behaviourLogprobs: b, policyVersions: PolicyVersions(repeating: 0, count: ids.count),
                    finishReason: .stop, temperature: 1)
            }
            _ = receive(&exchange, .trajectories(Trajectories(trajectories: trajectories, epoch: 9)), worker)
        }
        _ = receive(
            &exchange,
            .hello(
                Hello(
                    role: .scorer, name: "s", tokenizerFingerprint: nil, teachers: ["default"], processID: 2,
                    teacher: description)), scorer)
        return tasks(receive(&exchange, .leaseRequest(LeaseRequest(count: 4, epoch: 9)), scorer))
    }

    private static func tasks(_ messages: [Message]) -> [ScoreTask] {
        messages.flatMap { message -> [ScoreTask] in
            if case .scoreGrant(let grant) = message { grant.tasks } else { [] }
        }
    }

    private static func scores(_ task: ScoreTask, _ logprobs: [Float]) -> Message {
        .scores(Scores(scores: [Score(id: task.id, kind: task.kind, logprobs: logprobs)], epoch: 9))
    }

    @Test func theTeacherGradesItsTokensAndTheStudentsHaveTheirParts() throws {
        var exchange = Self.exchange()
        let task = try #require(Self.grade(&exchange, [1, 9, 3], b: [-4, -2, -1]).first)
        #expect(task.promptIDs == [7, 7, 7] && task.responseIDs == [101, 201, 103])
        _ = Self.receive(&exchange, Self.scores(task, [-1, -1, -0.5]), Self.scorer)
        let scored = try #require(exchange.batch()?.first)
        #expect(scored.trajectory.responseIDs == [1, 9, 3])
        #expect(scored.teacherLogprobs == [-2, -2, -0.5] && scored.comparisons == [.shared, .none, .own])
        #expect(scored.readings == [TeacherReading(label: "default", promptCount: 3, responseCount: 3)])
    }

    /// Grades that are not one for each of the teacher's tokens are none, also where there is one for each of the
    /// student's.
    @Test(arguments: [0, 2, 4, 5, 1000]) func gradesOfAnotherLengthAreTriedAgain(count: Int) throws {
        var exchange = Self.exchange()
        var task = try #require(Self.grade(&exchange, [1, 3], b: [-4, -1]).first)
        #expect(task.responseIDs.count == 3)
        for attempt in 1...3 {
            let wrong = Self.scores(task, [Float](repeating: -1, count: count))
            let again = Self.tasks(Self.receive(&exchange, wrong, Self.scorer))
            #expect(again.count == (attempt < 3 ? 1 : 0))
            task = again.first ?? task
        }
        // Nobody has numbers: the step is judged without.
        let scored = try #require(exchange.batch()?.first)
        #expect(scored.teacherLogprobs.count == 2 && !scored.isFinite)
    }

    /// What is written down for a person pairs the student's tokens with what is said of them.
    @Test func doubtfulGradesStandBesideTheStudentsTokens() throws {
        var exchange = Self.exchange()
        let task = try #require(Self.grade(&exchange, [1, 3], b: [-4, -1]).first)
        func suspects(_ logprobs: [Float]) -> [ScoredTrajectory] {
            exchange.receive(Self.scores(task, logprobs), from: Self.scorer, now: .zero).compactMap {
                if case .suspect(let scored, _) = $0 { scored } else { nil }
            }
        }
        let suspect = try #require(suspects([-1, -1, .infinity]).first)
        #expect(suspect.trajectory.responseIDs == [1, 3] && suspect.teacherLogprobs == [-2, .infinity])
        exchange = Self.exchange()
        _ = Self.grade(&exchange, [1, 3], b: [-4, -1])
        // As many as the student has tokens, and no one of them is about one of those.
        #expect(suspects([-1, -1]).map(\.teacherLogprobs) == [[]])
    }

    @Test func whatHasNoRoomInTheTeachersContextHasNoGrade() throws {
        var exchange = Self.exchange()
        // As much as the student's own tokens may need: 3 of the prompt and 6.
        let task = try #require(Self.grade(&exchange, [1, 2, 3, 4], b: [-4, -2, -2, -1], context: 9).first)
        #expect(task.responseIDs == [101, 201, 102, 202, 103, 203])
        _ = Self.receive(&exchange, Self.scores(task, [-1, -1, -2, -2, -3, -3]), Self.scorer)
        let scored = try #require(exchange.batch()?.first)
        #expect(scored.teacherLogprobs == [-2, -4, -6, -1])
        #expect(scored.comparisons == [.shared, .shared, .shared, .none])
    }

    @Test func aResponseWithoutTextForTheTeacherIsNotAskedFor() throws {
        var exchange = Self.exchange()
        #expect(Self.grade(&exchange, [9, 9], b: [-4, -2]).isEmpty)
        let scored = try #require(exchange.batch()?.first)
        #expect(scored.teacherLogprobs == [-4, -2] && scored.comparisons == [.none, .none])
    }

    @Test func idsBeyondTheTeachersRowsAreNotGraded() throws {
        var exchange = Self.exchange()
        #expect(Self.grade(&exchange, [1, 3], b: [-4, -2], rows: 150).isEmpty)
        #expect(exchange.batch()?.first?.isFinite == false)
        // More rows than the student has are no reason.
        var other = Self.exchange()
        #expect(Self.grade(&other, [1, 3], b: [-4, -2], rows: 250).count == 1)
    }

    /// Another teacher of the same prompt reads the student's tokens.
    @Test func teachersOfBothKindsGradeTogether() throws {
        var exchange = Self.exchange(others: [PromptTeacher(label: "same", share: 0.5)])
        _ = Self.receive(
            &exchange,
            .hello(
                Hello(role: .scorer, name: "t", tokenizerFingerprint: nil, teachers: ["same"], processID: 3)),
            PeerID("same"))
        _ = Self.receive(&exchange, .leaseRequest(LeaseRequest(count: 4, epoch: 9)), PeerID("same"))
        let task = try #require(Self.grade(&exchange, [1, 3], b: [-4, -1]).first)
        #expect(task.responseIDs == [101, 201, 103])
        let next = exchange.receive(Self.scores(task, [-1, -1, -0.5]), from: Self.scorer, now: .zero)
        let second = try #require(Self.tasks(Self.messages(next)).first)
        #expect(second.teacher == "same" && second.responseIDs == [1, 3])
        _ = Self.receive(&exchange, Self.scores(second, [-4, -1.5]), PeerID("same"))
        let scored = try #require(exchange.batch()?.first)
        #expect(scored.teacherLogprobs == [-3, -1] && scored.comparisons == [.shared, .own])
    }
}

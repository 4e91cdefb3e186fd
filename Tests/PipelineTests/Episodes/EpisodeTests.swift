import Distillation
import Engines
import Environments
import Pipeline
import TestSupport
import Testing
import Wire

/// Episodes turn by turn: what is sampled next, and what comes of it.
@Suite struct EpisodeTests {
    /// The end of a turn is 0; the environment's texts are their bytes, behind 200 where the template ends the answer.
    private static let text = EpisodeText(decode: { ids in
        String(decoding: ids.filter { $0 != 0 }.map { UInt8(clamping: $0) }, as: UTF8.self)
    }) { observation, _, isEnded in (isEnded ? [] : [200]) + observation.utf8.map { Int32($0) } + [201] }

    private static func task(maxTokens: Int = 200, seed: UInt64 = 3) -> RolloutTask {
        RolloutTask(
            id: RolloutID(group: 4, sample: 1), kind: .train, promptIDs: [7, 8],
            sampling: SamplingSettings(maxTokens: maxTokens, stopTokenIDs: [0]), seed: seed, minimumVersion: 2,
            leaseID: 9)
    }

    private static func settings(givesReward: Bool = true, turns: Int = 4) -> EpisodeSettings {
        EpisodeSettings(maxTurns: turns, maxTurnTokens: 20, givesReward: givesReward, identity: "test")
    }

    /// An episode with the environment that answers it.
    private struct Play {
        var episode: Episode
        var environment: any Environment

        init(_ task: RolloutTask, _ world: BuiltInEnvironment, turns: Int = 4) {
            episode = Episode(task, EpisodeTests.settings(givesReward: world.givesReward, turns: turns))
            environment = world.make()
            environment.reset(episode.start)
        }

        var nextTurn: RolloutTask { episode.nextTurn }

        mutating func take(_ turn: Trajectory) throws -> Trajectory? {
            switch episode.take(turn, EpisodeTests.text) {
            case .ends(let whole): return whole
            case .says(let said): return try episode.hear(environment.step(said), EpisodeTests.text)
            }
        }
    }

    private static func said(
        _ text: String, to turn: RolloutTask, version: UInt64 = 2, finish: FinishReason = .stop, stop: Bool = true
    ) -> Trajectory {
        let ids = text.utf8.map { Int32($0) } + (stop ? [0] : [])
        return Trajectory(
            id: turn.id, kind: turn.kind, teacher: nil, promptIDs: turn.promptIDs, responseIDs: ids,
            behaviourLogprobs: ids.map { -Float($0) / 100 },
            policyVersions: PolicyVersions(repeating: version, count: ids.count), finishReason: finish, temperature: 1)
    }

    /// A text that says another number than the secret.
    private static func wrong(_ seed: UInt64) -> (String, secret: String) {
        var world = NumberGuessing(limit: 9)
        world.reset(EpisodeStart(seed: seed))
        return (world.secret == 5 ? "4" : "5", "\(world.secret)")
    }

    /// The ids of an episode are those that were sampled and those of what the environment said, and no others: nothing is
    /// tokenised again.
    @Test func idsAreWhatWasSampledAndWhatWasSaid() throws {
        for seed in 0..<20 as Range<UInt64> {
            var episode = Play(Self.task(seed: seed), .guess(limit: 9))
            let (guess, secret) = Self.wrong(seed)
            var parts: [(sampled: Bool, ids: [Int32])] = [], last: Trajectory?
            for text in ["a\u{e9} \(guess)", guess, "so \(secret)"] {
                let turn = episode.nextTurn
                let before = parts.flatMap(\.ids)
                #expect(turn.promptIDs == [7, 8] + before && turn.firstPosition == before.count)
                #expect(turn.seed == seed && turn.id == Self.task().id && turn.minimumVersion == 2)
                #expect(turn.sampling.maxTokens == min(20, 200 - before.count))
                let sampled = Self.said(text, to: turn, version: UInt64(2 + parts.count))
                parts.append((true, sampled.responseIDs))
                last = try episode.take(sampled)
                guard last == nil else { continue }
                let told = guess < secret ? "higher\n" : "lower\n"
                parts.append((false, try Self.text.continuation(told, nil, true)))
            }
            let whole = try #require(last)
            #expect(whole.responseIDs == parts.flatMap(\.ids) && whole.promptIDs == [7, 8])
            let sampled = parts.filter(\.sampled).flatMap(\.ids)
            #expect(whole.tokens.ofPredicted(whole.responseIDs) == sampled && whole.tokens.flawOfGiven == nil)
            #expect(whole.behaviourLogprobs == sampled.map { -Float($0) / 100 })
            #expect(
                whole.policyVersions.runs.map(\.version) == [2, 4, 6] && whole.policyVersions.count == sampled.count)
            #expect(whole.turns == 3 && whole.reward == 1 && whole.finishReason == .stop)
            #expect(Array(whole.lastTurn) == "so \(secret)".utf8.map { Int32($0) } + [0])
        }
    }

    @Test func episodesHaveTheirLimits() throws {
        let guess = Self.wrong(3).0
        // The last turn that there may be.
        var episode = Play(Self.task(), .guess(limit: 9), turns: 2)
        #expect(try episode.take(Self.said(guess, to: episode.nextTurn)) == nil)
        let cut = try #require(try episode.take(Self.said(guess, to: episode.nextTurn)))
        #expect(cut.finishReason == .turns && cut.turns == 2 && cut.reward == 0)
        // A turn that was cut is answered by nobody.
        episode = Play(Self.task(), .guess(limit: 9))
        let half = try #require(
            try episode.take(Self.said(guess, to: episode.nextTurn, finish: .length, stop: false)))
        #expect(half.finishReason == .length && half.turns == 1 && half.responseIDs == guess.utf8.map { Int32($0) })
        // What the environment says must leave room for a token.
        let told = Self.wrong(3).secret < guess ? 7 : 8
        for room in 2 + told...2 + told + 2 {
            episode = Play(Self.task(maxTokens: room), .guess(limit: 9))
            let end = try episode.take(Self.said(guess, to: episode.nextTurn))
            #expect((end == nil) == (2 + told < room), "\(room)")
            if end == nil { #expect(episode.nextTurn.sampling.maxTokens == room - 2 - told) }
        }
    }

    /// A turn that a text has stopped lacks the token that ends an answer: the template's is put there, as given.
    @Test func anEndThatWasNotSampledIsGiven() throws {
        let guess = Self.wrong(3).0
        var episode = Play(Self.task(), .guess(limit: 9))
        #expect(try episode.take(Self.said(guess, to: episode.nextTurn, stop: false)) == nil)
        let ids = episode.nextTurn.promptIDs
        #expect(ids[2] == guess.utf8.first.map { Int32($0) } && ids[3] == 200)
    }

    @Test func aToolGivesNoReward() throws {
        var episode = Play(Self.task(), .calculator)
        #expect(try episode.take(Self.said("calc(2+3)", to: episode.nextTurn)) == nil)
        #expect(Array(episode.nextTurn.promptIDs.suffix(3)) == [53, 10, 201])
        let end = try #require(try episode.take(Self.said("it is 5", to: episode.nextTurn)))
        #expect(end.reward == nil && end.turns == 2 && end.finishReason == .stop)
    }

    /// Episodes of twelve prompts.
    private static func tasks() -> [RolloutTask] {
        (0..<12).map { index in
            var task = task(maxTokens: 60, seed: UInt64(index))
            task.id = RolloutID(group: UInt64(index), sample: 0)
            task.minimumVersion = 0
            task.sampling.stopTokenIDs = [0, 1, 2]
            return task
        }
    }

    /// A sampler of turns becomes one of episodes, whatever is cancelled meanwhile.
    @Test func aSamplerOfTurnsPlaysEpisodes() async throws {
        let sampler = UnigramSampler(.student)
        let backend = EpisodeBackend(
            over: sampler, Self.settings(turns: 3), in: .builtIn(.guess(limit: 9)), Self.text)
        let tasks = Self.tasks()
        try await backend.submit(tasks)
        let unwanted = Set(tasks.prefix(3).map { WorkItem(id: $0.id, kind: $0.kind) })
        await backend.cancel(unwanted)
        var done: [Trajectory] = []
        for try await event in backend.events {
            if case .completed(let trajectories) = event { done += trajectories }
            if Set(done.map(\.id)).isSuperset(of: tasks.dropFirst(3).map(\.id)) { break }
        }
        let kept = done.filter { $0.id.group >= 3 }
        #expect(kept.count == 9 && Set(kept.map(\.id)).count == 9)
        for trajectory in kept {
            #expect(trajectory.tokens.flawOfGiven == nil && (1...3).contains(trajectory.turns))
            #expect(trajectory.behaviourLogprobs.count == trajectory.sampledCount && trajectory.reward != nil)
            #expect(trajectory.responseIDs.count <= 60)
        }
        #expect(kept.contains { $0.turns > 1 })
    }

    /// Numbers to be found, of which some fail: the first time that they are asked, always, or for another's sake.
    private actor Service: EnvironmentService {
        private var worlds: [UInt64: NumberGuessing] = [:]
        private var failures: [UInt64: Int] = [:]
        private let fails: Bool
        private(set) var ended: Set<UInt64> = []

        init(fails: Bool) { self.fails = fails }

        func step(
            _ episode: UInt64, _ start: EpisodeStart, _ text: String
        ) async throws(EnvironmentFailure) -> EnvironmentStep {
            let before = failures[start.seed, default: 0]
            if fails, start.seed == 3 || (start.seed % 2 == 0 && before == 0) || (start.seed == 5 && before < 4) {
                failures[start.seed] = before + 1
                throw EnvironmentFailure("failed", isOwn: start.seed != 5)
            }
            var world = worlds[episode] ?? NumberGuessing(limit: 9)
            if worlds[episode] == nil { world.reset(start) }
            defer { worlds[episode] = world }
            return world.step(text)
        }

        func end(_ episode: UInt64) { ended.insert(episode) }
        func close() {}
    }

    /// Plays eight episodes.
    private static func played(_ service: Service) async throws -> [Trajectory] {
        let backend = EpisodeBackend(
            over: UnigramSampler(.student), settings(turns: 3), in: .service(service), text)
        let tasks = (0..<8).map { index in
            var task = task(maxTokens: 60, seed: UInt64(index))
            task.id = RolloutID(group: UInt64(index), sample: 0)
            task.minimumVersion = 0
            task.sampling.stopTokenIDs = [0, 1, 2]
            return task
        }
        try await backend.submit(tasks)
        var done: [Trajectory] = []
        for try await event in backend.events {
            if case .completed(let trajectories) = event { done += trajectories }
            if done.count >= tasks.count { break }
        }
        return done.sorted { $0.id < $1.id }
    }

    /// An episode whose environment fails is played again and comes out as if nothing had been; one that fails again ends
    /// as such, and is worth nothing.
    @Test func anEpisodeOutlivesItsEnvironment() async throws {
        let whole = try await Self.played(Service(fails: false))
        let service = Service(fails: true)
        let troubled = try await Self.played(service)
        #expect(troubled.map(\.id) == whole.map(\.id))
        for (seed, (now, before)) in zip(troubled, whole).enumerated() where seed != 3 { #expect(now == before) }
        #expect(troubled[3].finishReason == .environment && troubled[3].reward == 0 && troubled[3].turns == 1)
        #expect(whole.contains { $0.finishReason == .turns } && whole.allSatisfy { $0.finishReason != .environment })
    }

    /// Answers when it is let, and minds what it is told: an episode ends once, and between its answers.
    private actor StrictService: EnvironmentService {
        private let isDone: Bool
        private var open: [UInt64: CheckedContinuation<Void, Never>] = [:]
        private var done: Set<UInt64> = []
        private(set) var ended: [UInt64] = []
        private(set) var wrong: [String] = []

        init(isDone: Bool) { self.isDone = isDone }

        var asked: Int { open.count }

        func release() {
            let waiting = open.values
            open = [:]
            for continuation in waiting { continuation.resume() }
        }

        func step(
            _ episode: UInt64, _ start: EpisodeStart, _ text: String
        ) async throws(EnvironmentFailure) -> EnvironmentStep {
            await withCheckedContinuation { open[episode] = $0 }
            if isDone { done.insert(episode) }
            return EnvironmentStep("", reward: 0, isDone: isDone)
        }

        func end(_ episode: UInt64) {
            if open[episode] != nil { wrong.append("\(episode) ended while it was asked") }
            if done.contains(episode) { wrong.append("\(episode) ended after it was done") }
            if ended.contains(episode) { wrong.append("\(episode) ended twice") }
            ended.append(episode)
        }

        func close() {}
    }

    /// An episode that is cancelled while its service is asked is ended once that has answered, and not where the answer
    /// was its end.
    @Test(arguments: [false, true]) func aServiceIsToldOfAnEndBetweenItsAnswers(isDone: Bool) async throws {
        let service = StrictService(isDone: isDone)
        let backend = EpisodeBackend(
            over: UnigramSampler(.student), Self.settings(turns: 3), in: .service(service), Self.text)
        let tasks = Self.tasks()
        try await backend.submit(tasks)
        var finished = 0, asked = 0
        for try await event in backend.events {
            if case .completed(let whole) = event { finished += whole.count }
            asked = await service.asked
            if finished + asked == tasks.count { break }
        }
        try #require(asked > 0)
        await backend.cancel(Set(tasks.map { WorkItem(id: $0.id, kind: $0.kind) }))
        for _ in 0..<1000 { await Task.yield() }
        #expect(await service.ended == [])
        await service.release()
        while !isDone, await service.ended.count < asked { await Task.yield() }
        for _ in 0..<1000 { await Task.yield() }
        #expect(await service.ended.count == (isDone ? 0 : asked))
        #expect(await service.wrong == [])
    }

    /// An episode whose environment failed is worth nothing to a verifier, either, and is not judged where nothing is.
    @Test func anEpisodeThatWasGivenUpIsNotJudgedByItsLastTurn() throws {
        var episode = Episode(Self.task(), Self.settings(givesReward: false))
        guard case .says = episode.take(Self.said("5", to: episode.nextTurn), Self.text) else {
            Issue.record("the turn ended the episode")
            return
        }
        let
            whole = try #require(
                try episode.hear(EnvironmentStep("", isDone: true), Self.text)), abandoned = episode.abandoned()
        let judge = ResponseJudge(logger: .silent, decode: Self.text.decode)
        func rewards(_ check: AnswerCheck?) -> [Double?] {
            let prompt = Prompt(ids: [7, 8], teacher: nil, check: check)
            let scored = [whole, abandoned].map { ScoredTrajectory(trajectory: $0, teacherLogprobs: []) }
            return judge.judged(scored, prompts: [prompt, prompt]).map { $0.verdict?.reward }
        }
        #expect(rewards(try AnswerCheck(answer: "5", verifier: .numeric(after: nil, tolerance: 0))) == [1, 0])
        #expect(rewards(nil) == [nil, nil])
    }

    @Test func anEnvironmentThatIsGoneEndsTheSampler() async throws {
        struct Gone: EnvironmentService {
            func step(
                _ episode: UInt64, _ start: EpisodeStart, _ text: String
            ) async throws(EnvironmentFailure) -> EnvironmentStep { throw EnvironmentFailure("gone", isFinal: true) }
            func end(_ episode: UInt64) {}
            func close() {}
        }
        let backend = EpisodeBackend(
            over: UnigramSampler(.student), Self.settings(), in: .service(Gone()), Self.text)
        var task = Self.task()
        task.minimumVersion = 0
        task.sampling.stopTokenIDs = [0, 1, 2]
        try await backend.submit([task])
        await #expect(throws: EnvironmentFailure("gone", isFinal: true)) {
            for try await _ in backend.events {}
        }
    }
}

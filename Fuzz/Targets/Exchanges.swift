import Distillation
import Exchange
import Wire

extension FuzzTarget {
    /// Any conversation of three peers with the learner: well-formed messages in any order, with any numbers in them.
    static let exchange = FuzzTarget(name: "exchange") { bytes in
        var conversation = Conversation(bytes)
        while conversation.step() {
            if let flaw = conversation.exchange.audit() {
                throw BrokenPromise("the exchange's books are in order: \(flaw)")
            }
        }
    }
}

private struct Conversation {
    var exchange: Exchange
    private var input: ArraySlice<UInt8>
    private var now = Duration.zero
    /// What was granted to anybody: results for it, right and wrong ones, are what gets far.
    private var rollouts: [RolloutTask] = []
    private var scores: [ScoreTask] = []
    private var sent: [(message: Message, peer: PeerID)] = []

    private static let epoch: UInt64 = 9
    private static let head = SharedHead(vocabularySize: 50, hiddenSize: 2, format: .bf16, fingerprint: "h")

    init(_ bytes: [UInt8]) {
        input = bytes[...]
        let sampling = SamplingSettings(maxTokens: 3, temperature: 1, topP: 1, topK: 0, stopTokenIDs: [2])
        var plan = RunPlan(
            prompts: [Prompt(ids: [1, 5], teacher: "a"), Prompt(ids: [7], teacher: "b")],
            heldout: [Prompt(ids: [3], teacher: "a")], seed: 1, steps: 4, promptsPerStep: 2, samplesPerPrompt: 2,
            sampling: sampling)
        let shape = Self.next(&input)
        plan.maxStaleness = UInt64(shape % 3)
        plan.topTokens = shape / 3 % 2 * 2
        if shape / 6 % 2 == 1 { plan.heads["a"] = Self.head }
        plan.evaluationEvery = 1
        exchange = Exchange(plan: plan, options: ExchangeOptions(runID: "fuzz"), epoch: Self.epoch)
    }

    private static func next(_ input: inout ArraySlice<UInt8>) -> Int { input.popFirst().map(Int.init) ?? 0 }
    private mutating func next() -> Int { Self.next(&input) }
    /// Mostly what is right, at times anything.
    private mutating func number(_ right: UInt64) -> UInt64 {
        switch next() {
        case 255: .max
        case 254: UInt64(next())
        case 253: UInt64(Int64.max)
        default: right
        }
    }

    /// One event; false at the end of the input.
    mutating func step() -> Bool {
        guard !input.isEmpty else { return false }
        let kind = next()
        let peer = PeerID("peer-\(next() % 3)")
        var actions: [Exchange.Action] = []
        switch kind % 10 {
        case 0:
            let flags = next()
            var hello = Hello(
                role: flags & 1 == 0 ? .rollout : .scorer, name: "n\(flags >> 1 & 3)",
                tokenizerFingerprint: flags & 8 == 0 ? nil : "t",
                teachers: [["a"], ["b"], ["a", "b"], []][flags >> 4 & 3], processID: 1,
                mostTopTokens: flags & 64 == 0 ? 1024 : 1)
            if !exchange.plan.heads.isEmpty, flags & 128 == 0 {
                var teacher = TeacherDescription()
                teacher.headFingerprint = Self.head.fingerprint
                hello.teacher = teacher
            }
            actions = exchange.receive(.hello(hello), from: peer, now: now)
        case 1:
            let count = Int(truncatingIfNeeded: number(UInt64(1 + next() % 8)))
            let request = LeaseRequest(count: count, epoch: number(Self.epoch))
            // A count that the decoder would refuse does not get here.
            guard (1...WireLimits.standard.items).contains(count) else { break }
            actions = exchange.receive(.leaseRequest(request), from: peer, now: now)
        case 2: actions = exchange.receive(trajectories(), from: peer, now: now)
        case 3: actions = exchange.receive(grades(), from: peer, now: now)
        case 4:
            let leases = exchange.leaseIDs.prefix(next() % 4)
            let extra = number(0)
            let status = MemberStatus(state: "", tokens: number(1), version: number(exchange.version))
            let heartbeat = Heartbeat(status: status, leaseIDs: Array(leases) + [extra], epoch: number(Self.epoch))
            actions = exchange.receive(.heartbeat(heartbeat), from: peer, now: now)
        case 5: actions = exchange.receive(.goodbye(Goodbye(reason: "")), from: peer, now: now)
        case 6:
            now += .seconds(next())
            actions = exchange.tick(now: now)
        case 7:
            guard !sent.isEmpty else { break }
            let lost = sent[next() % sent.count]
            actions = exchange.receive([.undeliverable(lost.message, to: lost.peer)], now: now)
        case 8:
            let frames = WireInput(Array(input.prefix(64))).frames
            input = input.dropFirst(64)
            if let message = try? Codec.decode(frames) { actions = exchange.receive(message, from: peer, now: now) }
        default:
            if exchange.batch() != nil { exchange.completeStep() }
            if exchange.completeEvaluation() == nil, exchange.evaluationProgress.total == 0 {
                exchange.beginEvaluation()
            }
            actions = exchange.grantWork(now: now)
        }
        note(actions)
        return true
    }

    private mutating func note(_ actions: [Exchange.Action]) {
        for case .send(let message, let peer) in actions {
            sent = sent.suffix(15) + [(message, peer)]
            switch message {
            case .rolloutGrant(let grant): rollouts = (rollouts + grant.groups.flatMap(\.tasks)).suffix(64)
            case .scoreGrant(let grant): scores = (scores + grant.tasks).suffix(64)
            default: break
            }
        }
    }

    private mutating func trajectories() -> Message {
        var list: [RolloutResult] = []
        for _ in 0..<next() % 4 where !rollouts.isEmpty {
            let task = rollouts[next() % rollouts.count]
            let count = next() % 5
            list.append(
                RolloutResult(
                    id: RolloutID(
                        group: number(task.id.group), sample: UInt32(truncatingIfNeeded: number(UInt64(task.id.sample)))
                    ),
                    kind: task.kind, responseIDs: (0..<count).map { Int32($0) },
                    behaviourLogprobs: [Float](repeating: -1, count: count),
                    policyVersions: PolicyVersions(repeating: number(exchange.version), count: count),
                    finishReason: .stop))
        }
        return .trajectories(Trajectories(results: list, epoch: number(Self.epoch)))
    }

    /// The tokens that were asked for, or others.
    private mutating func topTokens(_ positions: Int) -> TopTokens? {
        guard exchange.plan.topTokens > 0 else { return nil }
        let count = next() % 4, first = Int32(next() % 6)
        guard count > 0 else { return nil }
        // One part of so many and one.
        let each: Float = [0, -0.6931, -1.0986, -1.3863][count]
        return TopTokens(
            count: count, ids: (0..<positions).flatMap { _ in (0..<Int32(count)).map { $0 + first } },
            logprobs: [Float](repeating: each, count: positions * count),
            tails: [Float](repeating: next() % 5 == 0 ? .nan : each, count: positions))
    }

    /// The states that were asked for, or others.
    private mutating func hiddenStates(_ positions: Int) -> HiddenStates? {
        guard !exchange.plan.heads.isEmpty else { return nil }
        let flags = next(), size = flags % 5 == 0 ? 3 : 2
        guard flags % 7 != 1 else { return nil }
        let count = flags % 11 == 2 ? positions : positions * size
        let numbers: HiddenStates.Numbers =
            flags % 13 == 3
            ? .f32([Float](repeating: 1, count: count))
            : .bf16([UInt16](repeating: flags % 17 == 4 ? 0x7f80 : 0x3f80, count: count))
        return HiddenStates(size: size, numbers: numbers)
    }

    private mutating func grades() -> Message {
        var list: [Score] = []
        for _ in 0..<next() % 4 where !scores.isEmpty {
            let task = scores[next() % scores.count]
            let count = Int(number(UInt64(task.ids.count - task.promptCount)) % 8)
            list.append(
                Score(
                    id: RolloutID(group: number(task.id.group), sample: task.id.sample), kind: task.kind,
                    logprobs: [Float](repeating: -2, count: count), top: topTokens(count),
                    hidden: hiddenStates(count)))
        }
        return .scores(Scores(scores: list, epoch: number(Self.epoch)))
    }
}

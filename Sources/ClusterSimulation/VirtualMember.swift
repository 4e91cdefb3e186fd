import Distillation
import Exchange
import Randomness
import Wire

/// Whole numbers of a seed.
struct Dice {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func integer(_ range: Range<Int>) -> Int {
        state &+= SplitMix64.increment
        return range.lowerBound + Int(SplitMix64.mix(state) % UInt64(max(1, range.count)))
    }

    mutating func happens(_ probability: Double) -> Bool {
        probability > 0 && Double(integer(0..<1_000_000)) < probability * 1_000_000
    }
}

/// A process that samples or grades, with a real session and invented results.
final class VirtualMember<Work: LeasedWork> {
    private(set) var session: MemberSession<Work>
    /// Changes with every process that takes the name.
    let peer: PeerID
    /// What it has not begun.
    private var queue: [Work] = []
    /// What it will have done when it is done next.
    private var underway: [Work] = []
    private var version: UInt64?
    var isAlive = true
    private let respond: (Work, UInt64) -> Work.Output

    init(
        _ role: Role, name: String, process: UInt64, window: Int, now: Duration,
        respond: @escaping (Work, UInt64) -> Work.Output
    ) {
        let hello = Hello(
            role: role, name: name, tokenizerFingerprint: nil, teachers: role == .scorer ? ["default"] : [],
            processID: process)
        session = MemberSession(hello: hello, window: window, patience: .seconds(600), now: now)
        peer = PeerID("\(name)-\(process)")
        self.respond = respond
    }

    var isIdle: Bool { underway.isEmpty }

    func receive(_ message: Message, now: Duration) -> [Message] {
        if case .weightsAnnounce(let announce) = message { version = announce.version }
        return apply(session.receive(message, now: now))
    }

    func tick(now: Duration) -> [Message] {
        let state = isIdle ? "idle" : "busy"
        session.enter(isIdle ? .waitingForWork : .sampling, now: now)
        return apply(session.tick(now: now, status: MemberStatus(state: state, version: version ?? 0)))
    }

    /// Begins what waits.
    /// - Returns: the number of tasks begun; 0 when nothing waits, or it is busy.
    func begin() -> Int {
        guard isIdle, !queue.isEmpty else { return 0 }
        (underway, queue) = (queue, [])
        return underway.count
    }

    /// Delivers what it has begun.
    func finish(now: Duration) -> [Message] {
        let outputs = underway.map { respond($0, version ?? 0) }
        underway = []
        return apply(session.complete(outputs, now: now))
    }

    private func apply(_ actions: [MemberSession<Work>.Action]) -> [Message] {
        var messages: [Message] = []
        for action in actions {
            switch action {
            case .send(let message): messages.append(message)
            case .start(let tasks): queue += tasks
            case .cancel(let items):
                queue.removeAll { items.contains($0.item) }
                underway.removeAll { items.contains($0.item) }
            case .end: isAlive = false
            case .forgetWeights: version = nil
            case .weights, .say: break
            }
        }
        return messages
    }
}

extension VirtualMember where Work == RolloutTask {
    /// A worker, whose responses are functions of seed, sample and version.
    static func worker(_ index: Int, process: UInt64, shape: ClusterShape, now: Duration) -> VirtualMember {
        VirtualMember(.rollout, name: "rollout-\(index)", process: process, window: shape.samples, now: now) {
            task, version in
            var dice = Dice(seed: task.seed &+ UInt64(task.id.sample) &* 977 &+ version)
            let count = 1 + dice.integer(0..<task.sampling.maxTokens)
            let ids = (0..<count).map { _ in Int32(1 + dice.integer(0..<1000)) }
            return Trajectory(
                id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs, responseIDs: ids,
                behaviourLogprobs: ids.map { -Float($0 % 5) },
                policyVersions: PolicyVersions(repeating: version, count: count),
                finishReason: count == task.sampling.maxTokens ? .length : .stop,
                temperature: task.sampling.temperature)
        }
    }
}

extension VirtualMember where Work == ScoreTask {
    static func scorer(_ index: Int, process: UInt64, shape: ClusterShape, now: Duration) -> VirtualMember {
        VirtualMember(.scorer, name: "scorer-\(index)", process: process, window: shape.scorerWindow, now: now) {
            task, _ in
            Score(id: task.id, kind: task.kind, logprobs: task.responseIDs.map { -Float($0 % 7) })
        }
    }
}

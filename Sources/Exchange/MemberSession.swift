import Wire
import Wording

/// A member's side of the protocol: hello, heartbeats, leases, results that are sent until they are acknowledged, and
/// what to do when the learner falls silent or is another one.
///
/// A state machine like ``Exchange``: messages and the time go in, actions come out. Rollout workers and scorers share
/// it.
package struct MemberSession<Work: LeasedWork>: Sendable {
    /// What a member is to do.
    package enum Action: Sendable {
        case send(Message)
        /// Do these, in this order.
        case start([Work])
        /// Stop and forget these.
        case cancel(Set<WorkItem>)
        /// Another learner process: weights are void, whatever their version.
        case forgetWeights
        /// A message that concerns weights.
        case weights(Message)
        case say(String)
        case end(MemberEnd)
    }

    private struct Delivery: Sendable {
        var output: Work.Output
        var sentAt: Duration
    }

    package let hello: Hello
    /// Tasks to hold at once.
    package let window: Int
    /// How long to wait for a learner that does not answer.
    package let patience: Duration

    package private(set) var epoch: UInt64?
    /// Whether the learner knows it: from an accepted hello to the loss of the learner.
    package private(set) var joined = false
    package private(set) var held: [WorkItem: UInt64] = [:]
    private var outbox: [WorkItem: Delivery] = [:]
    private var heartbeat: Duration = .seconds(2)
    /// How long a lease lasts that is not renewed.
    package private(set) var lease: Duration = .seconds(60)
    /// The last time the learner was heard, or the start.
    private var heardAt: Duration
    private var helloAt: Duration?
    private var heartbeatAt: Duration?
    private var saidAt: Duration
    private var tickAt: Duration?
    private var ended = false
    private var clock = ClockEstimate()
    private var stages = StageRecorder()

    package init(hello: Hello, window: Int, patience: Duration, now: Duration) {
        self.hello = hello
        self.window = window
        self.patience = patience
        heardAt = now
        saidAt = now
    }

    package mutating func receive(_ message: Message, now: Duration) -> [Action] {
        guard !ended else { return [] }
        heardAt = now
        if let tasks = Work.tasks(in: message) { return start(tasks, now) }
        switch message {
        case .welcome(let welcome): return join(welcome, now)
        case .reject(let reject):
            guard reject.code == .unknownPeer else { return end(.rejected(reject)) }
            // Messages that were on their way when we said hello are answered so too, and every hello while the learner
            // loads its models.
            guard joined else { return sayWhy(reject, now) }
            return sayHello(now)
        case .heartbeatReply(let reply):
            clock.observe(sent: reply.sentAt, received: now.microseconds, remote: reply.clock)
            guard joined, reply.epoch != epoch else { return [] }
            return sayHello(now)
        case .acknowledge(let acknowledge):
            for item in acknowledge.items { outbox[item] = nil }
            return []
        case .revoke(let revoke):
            let void = Set(revoke.items.filter { held.removeValue(forKey: $0) != nil })
            return void.isEmpty ? [] : [.cancel(void)]
        case .shutdown(let shutdown): return end(.shutdown(shutdown.reason))
        case .weightsAnnounce, .weightsChunk: return joined ? [.weights(message)] : []
        default: return []
        }
    }

    /// Says hello, sends heartbeats and what was not acknowledged. Call it a few times a second.
    /// - Parameters:
    ///   - status: what the heartbeat says.
    ///   - renews: whether the work is moving, so that its leases may be renewed.
    package mutating func tick(now: Duration, status: MemberStatus, renews: Bool = true) -> [Action] {
        guard !ended else { return [] }
        // Time for which this process itself was stopped is not the learner's silence.
        let missed = now - (tickAt ?? now)
        if missed > .seconds(5) { heardAt = min(now, heardAt + missed) }
        tickAt = now
        if now - heardAt > patience { return end(.unreachable(now - heardAt)) }
        var actions: [Action] = []
        if now - heardAt > .seconds(5), now - saidAt > .seconds(5) {
            saidAt = now
            let left = (patience - (now - heardAt)).components.seconds
            actions.append(.say("waiting for the learner: no answer yet, giving up in \(left) s"))
        }
        guard joined else {
            if helloAt.map({ now - $0 >= .seconds(2) }) ?? true { actions += sayHello(now) }
            return actions
        }
        if let epoch, heartbeatAt.map({ now - $0 >= heartbeat }) ?? true {
            heartbeatAt = now
            let leases = renews ? Set(held.values).sorted() : []
            var beat = Heartbeat(status: status, leaseIDs: leases, epoch: epoch)
            beat.sentAt = now.microseconds
            beat.alignment = clock.alignment
            // Before the clocks are aligned nobody could tell when it was: it waits in the ring.
            if beat.alignment != nil { beat.spans = stages.take(now: now) }
            actions.append(.send(.heartbeat(beat)))
            // A window that stands: saying it again costs nothing, and makes up for one that was lost.
            actions.append(.send(.leaseRequest(LeaseRequest(count: window, epoch: epoch))))
        }
        let late = outbox.filter { now - $0.value.sentAt > max(heartbeat * 2, .seconds(3)) }
        if !late.isEmpty { actions += send(late.sorted { $0.key < $1.key }.map(\.value.output), now) }
        return actions
    }

    /// The member is in this stage from now on, for its lane in the run's timeline.
    package mutating func enter(_ stage: Stage, now: Duration) { stages.enter(stage, now: now) }

    /// Results are there: sends them, and again until they are acknowledged. Those of cancelled tasks are dropped.
    package mutating func complete(_ outputs: [Work.Output], now: Duration) -> [Action] {
        guard !ended else { return [] }
        let wanted = outputs.filter { held.removeValue(forKey: Work.item(of: $0)) != nil }
        return wanted.isEmpty ? [] : send(wanted, now)
    }

    /// Leaves the run.
    package mutating func leave(reason: String) -> [Action] {
        guard !ended else { return [] }
        ended = true
        return [.send(.goodbye(Goodbye(reason: reason)))]
    }

    // MARK: Steps

    private mutating func sayHello(_ now: Duration) -> [Action] {
        joined = false
        helloAt = now
        return [.send(.hello(hello))]
    }

    /// Says what the learner does meanwhile, when it has lasted.
    private mutating func sayWhy(_ reject: Reject, _ now: Duration) -> [Action] {
        guard now - saidAt > .seconds(5) else { return [] }
        // Once in a while is enough.
        saidAt = now + .seconds(25)
        return [.say("waiting for the learner: \(reject.message)")]
    }

    private mutating func join(_ welcome: Welcome, _ now: Duration) -> [Action] {
        var actions: [Action] = []
        // The learner released our leases when it took the hello.
        if !held.isEmpty { actions.append(.cancel(Set(held.keys))) }
        held = [:]
        if let epoch, epoch != welcome.epoch {
            outbox = [:]
            clock = ClockEstimate()
            actions += [.forgetWeights, .say("the learner is another process now: starting over")]
        } else if epoch == nil {
            actions.append(.say("joined run \(welcome.runID)"))
        }
        epoch = welcome.epoch
        joined = true
        heartbeat = .seconds(min(max(welcome.heartbeatSeconds, 0.01), 3600))
        lease = .seconds(min(max(welcome.leaseSeconds, 0.01), 86400))
        heartbeatAt = nil
        if !outbox.isEmpty { actions += send(outbox.sorted { $0.key < $1.key }.map(\.value.output), now) }
        return actions
    }

    private mutating func start(_ tasks: [Work], _ now: Duration) -> [Action] {
        guard joined else { return [] }
        var fresh: [Work] = []
        for task in tasks {
            // A result on its way, or work under way, for a lease that was granted anew.
            if outbox[task.item] != nil { continue }
            if held.updateValue(task.leaseID, forKey: task.item) == nil { fresh.append(task) }
        }
        return fresh.isEmpty ? [] : [.start(fresh)]
    }

    private mutating func send(_ outputs: [Work.Output], _ now: Duration) -> [Action] {
        for output in outputs { outbox[Work.item(of: output)] = Delivery(output: output, sentAt: now) }
        guard joined, let epoch else { return [] }
        return Self.parts(of: outputs).map { .send(Work.message(delivering: $0, epoch: epoch)) }
    }

    /// Outputs in order, as many of them together as one message has room for.
    private static func parts(of outputs: [Work.Output]) -> [[Work.Output]] {
        let limits = WireLimits.standard, mostElements = limits.frameBytes / 16
        var parts: [[Work.Output]] = [], elements = 0
        for output in outputs {
            elements += Work.size(of: output)
            if let last = parts.last, last.count < limits.items, elements <= mostElements {
                parts[parts.count - 1].append(output)
            } else {
                parts.append([output])
                elements = Work.size(of: output)
            }
        }
        return parts
    }

    private mutating func end(_ reason: MemberEnd) -> [Action] {
        ended = true
        return [.cancel(Set(held.keys)), .end(reason)]
    }
}

/// How a member's time in a run ended.
package enum MemberEnd: Sendable, Equatable {
    /// The run is over.
    case shutdown(String)
    case rejected(Reject)
    /// The learner has not answered for this long.
    case unreachable(Duration)
    /// Asked to stop, by a signal for example.
    case stopped(String)
}

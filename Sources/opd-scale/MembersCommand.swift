import ArgumentParser
import Distillation
import Exchange
import Logging
import Transport
import Wire

/// What `connections` starts: many workers in one process, each with a transport of its own.
struct MembersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "members", abstract: "Be many workers of a learner.", shouldDisplay: false)

    @Option(help: "The learner's endpoint.")
    var connect: String

    @Option(help: "Number of the first.")
    var first = 0

    @Option(help: "Workers.")
    var count = 1

    func run() async throws {
        var logger = Logger(label: "members")
        logger.logLevel = .error
        let members = try (first..<first + count).map { index in
            let name = "rollout-\(index)"
            return LoadMember(name, try ZeroMQTransport.member(connect: connect, identity: name, logger: logger))
        }
        await withTaskGroup { group in
            for member in members {
                group.addTask { await member.serve() }
            }
            group.addTask {
                while (try? await Task.sleep(for: .milliseconds(500))) != nil {
                    for member in members { await member.tick() }
                }
            }
        }
    }
}

/// A worker whose responses take a second or so and no work.
actor LoadMember {
    private let transport: ZeroMQTransport
    private var session: MemberSession<RolloutTask>
    private let origin = ContinuousClock.now
    private var waiting: [(task: RolloutTask, at: Duration)] = []

    init(_ name: String, _ transport: ZeroMQTransport) {
        self.transport = transport
        let hello = Hello(role: .rollout, name: name, tokenizerFingerprint: nil, processID: 0)
        session = MemberSession(hello: hello, window: 4, patience: .seconds(600), now: .zero)
    }

    private var now: Duration { origin.duration(to: .now) }

    func serve() async {
        tick()
        for await burst in transport.events.bursts { receive(burst) }
    }

    private func receive(_ burst: [TransportEvent]) {
        for case .message(let message, _) in burst { perform(session.receive(message, now: now)) }
    }

    func tick() {
        let now = now
        let done = waiting.filter { $0.at <= now }.map(\.task)
        waiting.removeAll { $0.at <= now }
        if !done.isEmpty { perform(session.complete(done.map(Self.respond), now: now)) }
        perform(session.tick(now: now, status: MemberStatus(state: "sampling")))
    }

    private static func respond(_ task: RolloutTask) -> Trajectory {
        let count = task.sampling.maxTokens
        return Trajectory(
            id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs,
            responseIDs: [Int32](repeating: 7, count: count),
            behaviourLogprobs: [Float](repeating: -1, count: count),
            policyVersions: PolicyVersions(repeating: task.minimumVersion, count: count),
            finishReason: .length, temperature: task.sampling.temperature)
    }

    private func perform(_ actions: [MemberSession<RolloutTask>.Action]) {
        for action in actions {
            switch action {
            case .send(let message):
                do { try transport.send(message) } catch { print("\(message.name) cannot be encoded: \(error)") }
            case .start(let tasks):
                // Between one and two seconds, each at another time.
                for task in tasks {
                    let wait = Duration.milliseconds(1000 + Int(task.seed % 1000))
                    waiting.append((task, now + wait))
                }
            case .cancel(let items): waiting.removeAll { items.contains($0.task.item) }
            case .forgetWeights, .weights, .say, .end: break
            }
        }
    }
}

import ArgumentParser
import ClusterSimulation

struct MemoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "memory",
        abstract: "Resident memory that a member costs the exchange, and a session: a process of its own for each size."
    )

    @Option(help: "Workers of a learner.")
    var members = 1000

    func validate() throws {
        guard (1...100_000).contains(members) else { throw ValidationError("--members takes 1 to 100000") }
    }

    func run() {
        let memory = MemberMemory.measure(members: members)
        printObject([
            ("workers", Double(members)), ("learner_bytes_a_member", memory.learner), ("session_bytes", memory.session),
        ])
    }
}

/// Prints numbers as one JSON object in a line, with three decimals at most.
func printObject(_ fields: [(String, Double)], head: String = "") {
    print("{" + head + fields.map { "\"\($0)\": \(($1 * 1000).rounded() / 1000)" }.joined(separator: ", ") + "}")
}

struct ExchangeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exchange",
        abstract:
            "Exchange, ledger, sessions and codec in virtual time: a JSON object for each size, times in CPU time.")

    @Option(help: "Workers, one size after the other.")
    var members: String = "10,100,1000,10000"

    @Option(help: "Scorers, one number after the other.")
    var scorers: String = "4"

    @Option(help: "Steps of each run.")
    var steps = 2

    @Option(help: "Runs of each size, of which the medians count.")
    var repetitions = 3

    @Option(help: "Tokens of the longest response.")
    var tokens = 64

    @Flag(help: "Let members die, come late and deliver twice.")
    var faults = false

    func run() throws {
        for workers in try Self.sizes(members, "--members") {
            for scorers in try Self.sizes(scorers, "--scorers") { try measure(workers, scorers) }
        }
    }

    private static func sizes(_ text: String, _ option: String) throws -> [Int] {
        let sizes = text.split(separator: ",").map { Int($0) ?? 0 }
        guard !sizes.isEmpty, sizes.allSatisfy({ (1...100_000).contains($0) }) else {
            throw ValidationError("\(option) takes numbers of 1 to 100000, with commas between")
        }
        return sizes
    }

    private func measure(_ workers: Int, _ scorers: Int) throws {
        var shape = ClusterShape(workers: workers, scorers: scorers)
        shape.steps = UInt64(max(1, steps))
        shape.tokens = max(1, tokens)
        if faults { (shape.deathsPerSecond, shape.late, shape.doubled) = (0.002, 0.1, 0.05) }
        let runs = try (0..<max(1, repetitions)).map { _ in
            let cluster = VirtualCluster(shape)
            cluster.run()
            guard cluster.problems.isEmpty else {
                throw ValidationError("\(workers) workers, \(scorers) scorers: \(cluster.problems[0])")
            }
            return cluster
        }
        func median(_ value: (ClusterCosts) -> Double) -> Double {
            runs.map { value($0.costs) }.sorted()[runs.count / 2]
        }
        let costs = runs[0].costs
        let seconds = Double(runs[0].now.components.seconds)
        var fields: [(String, Double)] = [
            ("workers", Double(workers)), ("scorers", Double(scorers)), ("steps", Double(shape.steps)),
            ("trajectories", Double(workers * shape.samples) * Double(shape.steps)),
            ("virtual_s", seconds), ("messages_in", Double(costs.decoding.count)),
            ("messages_out", Double(costs.messagesOut)), ("bytes_in", Double(costs.bytesIn)),
            ("bytes_out", Double(costs.bytesOut)), ("grants", Double(runs[0].exchange.counters.grants)),
            ("deaths", Double(runs[0].deaths)), ("duplicates", Double(runs[0].exchange.counters.duplicates)),
        ]
        fields += [
            ("message_us", median { $0.secondsPerMessage * 1e6 }), ("decode_us", median { $0.decoding.mean * 1e6 }),
            ("receive_us", median { $0.receiving.mean * 1e6 }), ("encode_us", median { $0.encoding.mean * 1e6 }),
            ("wake_us", median { $0.waking.mean * 1e6 }), ("join_us", median { $0.joining.mean * 1e6 }),
            ("grant_us", median { $0.granting.mean * 1e6 }), ("tick_us", median { $0.ticking.mean * 1e6 }),
            ("longest_tick_us", median { $0.ticking.longest * 1e6 }), ("close_us", median { $0.closing.mean * 1e6 }),
            ("status_us", median { $0.status.mean * 1e6 }), ("status_bytes", Double(costs.statusBytes)),
            ("cpu_s", median { $0.seconds }),
        ]
        printObject(fields)
    }
}

import ArgumentParser
import ClusterSimulation
import Distillation
import Exchange
import Foundation
import Logging
import Transport
import Wire

struct ConnectionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connections",
        abstract: "A learner with many real connections from this machine: joining, heartbeats, work, and all again.")

    @Option(help: "Members.")
    var count = 2000

    @Option(help: "Processes that the members are in.")
    var processes = 8

    @Option(help: "Seconds of heartbeats and work between joining and being killed.")
    var seconds = 30

    @Option(help: "Seconds to wait for all to have joined.")
    var patience = 120

    func validate() throws {
        guard (1...16384).contains(count), (1...64).contains(processes), (1...3600).contains(seconds) else {
            throw ValidationError("--count takes 1 to 16384, --processes 1 to 64, --seconds 1 to 3600")
        }
    }

    func run() async throws {
        var logger = Logger(label: "learner")
        logger.logLevel = .notice
        let transport = try ZeroMQTransport.learner(bind: "tcp://127.0.0.1:*", logger: logger)
        let learner = LoadLearner(transport, members: count)
        let receiving = Task { for await burst in transport.events.bursts { await learner.receive(burst) } }
        let ticking = Task {
            while (try? await Task.sleep(for: .milliseconds(200))) != nil { await learner.tick() }
        }
        for phase in ["joining", "joining again"] {
            let children = try startMembers(transport.endpoint)
            // Killed whatever happens: none may stay behind.
            defer { for child in children { kill(child.processIdentifier, SIGKILL) } }
            await report(phase, learner, transport) { await learner.welcomed < count }
            let until = ContinuousClock.now + .seconds(seconds)
            await report("working", learner, transport) { ContinuousClock.now < until }
        }
        // All have been killed: their silence is to be noticed.
        await report("leaving", learner, transport) { await learner.memberCount > 0 }
        ticking.cancel()
        await transport.close()
        await receiving.value
    }

    private func startMembers(_ endpoint: String) throws -> [Process] {
        try (0..<processes).map { index in
            let child = Process()
            child.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            let first = count * index / processes, last = count * (index + 1) / processes
            child.arguments = ["members", "--connect", endpoint, "--first", "\(first)", "--count", "\(last - first)"]
            try child.run()
            return child
        }
    }

    /// Waits as long as the condition holds, and prints what has happened meanwhile.
    private func report(
        _ phase: String, _ learner: LoadLearner, _ transport: ZeroMQTransport, while condition: () async -> Bool
    ) async {
        let begun = ContinuousClock.now, processor = ProcessUse.seconds, before = transport.statistics
        await learner.beginPhase()
        while await condition(), ContinuousClock.now - begun < .seconds(max(patience, seconds)) {
            try? await Task.sleep(for: .milliseconds(20))
        }
        let wall = (ContinuousClock.now - begun) / .seconds(1), cpu = ProcessUse.seconds - processor
        let after = transport.statistics
        let figures = await learner.figures
        let fields: [(String, Double)] = [
            ("wall_s", wall), ("cpu_s", cpu), ("members", Double(figures.members)),
            ("messages_in", Double(after.messagesIn - before.messagesIn)),
            ("messages_out", Double(after.messagesOut - before.messagesOut)),
            ("refused", Double(after.refused - before.refused)),
            ("throttled", Double(after.throttled - before.throttled)),
            ("undeliverable", Double(after.undeliverable - before.undeliverable)),
            ("welcomed", Double(figures.welcomed)), ("lost", Double(figures.lost)),
            ("trajectories", Double(figures.trajectories)),
            ("longest_silence_s", figures.longestSilence), ("round_trip_ms", figures.roundTrip * 1000),
            ("descriptors", Double(ProcessUse.descriptors)), ("resident_bytes", Double(MemberMemory.resident())),
            ("threads", Double(ProcessUse.threads)),
        ]
        printObject(fields, head: "\"phase\": \"\(phase)\", ")
    }
}

/// What this process uses.
enum ProcessUse {
    /// Seconds of CPU time of all threads.
    static var seconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    static var descriptors: Int { entries("/proc/self/fd") }
    static var threads: Int { entries("/proc/self/task") }

    private static func entries(_ path: String) -> Int {
        (try? FileManager.default.contentsOfDirectory(atPath: path))?.count ?? 0
    }
}

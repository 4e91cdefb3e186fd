import Foundation
import TestSupport
import Testing

/// Runs whose workers reach the learner through a relay, by real processes.
@Suite(.serialized) struct RelayRunTests {
    /// A command before a worker's that gives it a host name of its own: the learner's shared memory is not for it then.
    private static let apart: [String]? = [["-u"], ["-r", "-u"]].first { options in
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["unshare"] + options + ["hostname", "opd-probe"]
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    /// What a run of separate processes ended with.
    private struct Result {
        var weights: Data
        /// Of the learner, by its own count.
        var weightBytes: Int
        var workers: [Binary.Output]
        var relay: Binary.Output
    }

    /// A learner, a relay, a scorer and workers behind the relay, to the end of the run.
    /// - Parameter death: the step at which the relay is killed.
    private static func run(
        in folder: String, workers: Int, steps: Int = ProcessRunTests.steps, options: [String] = [], death: Int? = nil,
        hasKeys: Bool = false
    ) async throws -> Result {
        try TinyModel.writeRun(in: folder, steps: steps)
        let options = options + (hasKeys ? try await keys(in: folder) : [])
        let learnerAt = "tcp://127.0.0.1:\(try freePort())", relayAt = "tcp://127.0.0.1:\(try freePort())"
        let hosts = try #require(apart)
        func start(_ words: [String], host: String? = nil) throws -> Binary.Running {
            guard let host else {
                return try Binary.Running(words + options, input: "", folder: folder, environment: [:])
            }
            let shell = ["sh", "-c", #"hostname "$0"; exec "$@""#, host, Binary.path]
            return try Binary.Running(
                hosts + shell + words + options, of: "/usr/bin/unshare", input: "", folder: folder, environment: [:])
        }
        var members: [Binary.Running] = []
        let learner = try start(["learner", "run.yaml", "--bind", learnerAt])
        let relay = try start(["relay", "run.yaml", "--bind", relayAt, "--connect", learnerAt, "--verbose"])
        defer { for child in members + [learner, relay] { kill(child.process.processIdentifier, SIGKILL) } }
        let connect = ["--relay", relayAt, "--connect", learnerAt]
        members.append(try start(["scorer", "run.yaml", "--name", "s"] + connect))
        for index in 0..<workers {
            members.append(
                try start(["rollout", "run.yaml", "--name", "w\(index)"] + connect, host: "machine\(index)"))
        }
        if let death {
            let deadline = Date().addingTimeInterval(120)
            while (try? ProcessRunTests.metrics(folder).count) ?? 0 <= death {
                try #require(learner.process.isRunning && Date() < deadline, "\(learner.errors)")
                try await Task.sleep(for: .milliseconds(5))
            }
            try #require(learner.process.isRunning, "the run was over before the relay was killed")
            kill(relay.process.processIdentifier, SIGKILL)
        }
        let end = await learner.finish(within: 240)
        try #require(end.status == 0, "\(end.errors)")
        var ends: [Binary.Output] = []
        for member in members { ends.append(await member.finish(within: 60)) }
        let log = try String(contentsOfFile: "\(folder)/runs/tiny/logs/learner.log", encoding: .utf8)
        let bytes = try #require(log.firstMatch(of: /weightBytesOut: ([0-9]+)/).flatMap { Int($0.1) }, "\(log)")
        return Result(
            weights: try ProcessRunTests.weights(folder), weightBytes: bytes, workers: ends,
            relay: await relay.finish(within: 60))
    }

    /// Keys of everybody, in a folder.
    /// - Returns: the options that name them.
    private static func keys(in folder: String) async throws -> [String] {
        let result = try await Binary.run(["keygen", "keys", "--run", "--relays"], in: folder)
        #expect(result.status == 0, "\(result.errors)")
        let files = [
            "learner_key": "learner.key", "learner_public_key": "learner.pub", "rollout_key": "rollout.key",
            "scorer_key": "scorer.key", "rollout_clients": "rollout.clients", "scorer_clients": "scorer.clients",
            "relay_key": "relay.key", "relay_public_key": "relay.pub", "relay_clients": "relay.clients",
        ]
        return files.flatMap { ["--set", "security.\($0.key)=keys/\($0.value)"] }
    }

    /// A run that is long enough for every member to go on with the learner. An evaluation and a checkpoint take longer
    /// than a step.
    private static let longSteps = 400, longOptions = ["--set", "evaluation.every=0", "--set", "checkpoint.every=0"]

    /// The weights of such a run without a relay.
    private static let longReference = Task {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: longSteps)
            let result = try await Binary.run(["run", "run.yaml"] + longOptions, in: folder)
            #expect(result.status == 0, "\(result.errors)")
            return try ProcessRunTests.weights(folder)
        }
    }

    /// With keys a relay lets in whom the learner would, and the learner lets in the relay for them.
    @Test(.enabled(if: apart != nil)) func aRelayHasKeys() async throws {
        let reference = try await Self.longReference.value
        try await withTemporaryFolder { folder in
            let result = try await Self.run(
                in: folder, workers: 2, steps: Self.longSteps, options: Self.longOptions, death: 20, hasKeys: true)
            #expect(result.weights == reference)
            for worker in result.workers {
                #expect(worker.status == 0, "\(worker.errors)")
                #expect(worker.errors.contains("does not answer: going on with"), "\(worker.errors)")
            }
            #expect(result.relay.errors.contains("encrypted"), "\(result.relay.errors)")
        }
    }

    @Test(.enabled(if: apart != nil)) func theLearnersBytesDoNotGrowWithTheWorkers() async throws {
        let reference = try await ProcessRunTests.reference.value
        // Whole versions: how many differences there are depends on who came when.
        let options = ["--set", "pipeline.weight_differences=off"]
        var bytes: [Int] = []
        for workers in [1, 3] {
            try await withTemporaryFolder { folder in
                let result = try await Self.run(in: folder, workers: workers, options: options)
                #expect(result.weights == reference.weights)
                #expect(result.workers.allSatisfy { $0.status == 0 }, "\(result.workers.map(\.errors))")
                #expect(
                    result.relay.status == 0 && result.relay.errors.contains("bytes came"), "\(result.relay.errors)")
                bytes.append(result.weightBytes)
            }
        }
        // One worker has to have every version; three never need more of them.
        #expect(bytes[0] > 0 && bytes[1] <= bytes[0], "\(bytes)")
    }

    @Test(.enabled(if: apart != nil)) func aRelayThatIsKilledChangesNothing() async throws {
        let reference = try await Self.longReference.value
        try await withTemporaryFolder { folder in
            let result = try await Self.run(
                in: folder, workers: 3, steps: Self.longSteps, options: Self.longOptions, death: 20)
            #expect(result.weights == reference)
            for worker in result.workers {
                #expect(worker.status == 0, "\(worker.errors)")
                #expect(worker.errors.contains("does not answer: going on with"), "\(worker.errors)")
            }
        }
    }

    @Test func whatARelayCannotDoIsSaidInALine() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            func refusal(_ words: String...) async throws -> String {
                let result = try await Binary.run(["relay", "run.yaml"] + words, in: folder)
                #expect(result.status == 2 && result.errorLines.count == 1, "\(result.errors)")
                return result.errors
            }
            let learner = ["--connect", "tcp://127.0.0.1:9"]
            #expect(
                try await refusal("--bind", "tcp://0.0.0.0:*", learner[0], learner[1]).contains("leaves this machine"))
            #expect(
                try await refusal("--bind", "tcp://127.0.0.1:*", "--connect", "tcp://10.1.1.1:1").contains(
                    "leaves this machine"))
            #expect(
                try await refusal("--bind", "tcp://127.0.0.1:*", "--connect", "tcp://127.0.0.1:9,").contains(
                    "is no list of endpoints"))
            #expect(
                try await refusal("--bind", learner[1], learner[0], learner[1]).contains("cannot connect to itself"))
            #expect(
                try await refusal(
                    "--bind", "tcp://127.0.0.1:*", learner[0], learner[1], "--set",
                    "security.learner_public_key=keys/learner.pub"
                ).contains("security.relay_key is missing"))
        }
    }
}

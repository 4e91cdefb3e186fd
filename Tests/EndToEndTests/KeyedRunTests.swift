import Foundation
import TestSupport
import Testing

/// Runs with keys, by real processes, while others try to get in.
@Suite(.serialized)
struct KeyedRunTests {
    private static func secretTexts(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".key") }.map {
            let text = try String(contentsOfFile: "\(folder)/\($0)", encoding: .utf8)
            return try #require(text.split(separator: "\"").dropFirst(3).first.map(String.init))
        }
    }

    /// A run with keys of its own in `keys/`; `plain.yaml` is the same without.
    private static func writeRun(in folder: String, steps: Int) async throws {
        try TinyModel.writeRun(in: folder, steps: steps)
        let plain = try String(contentsOfFile: "\(folder)/run.yaml", encoding: .utf8)
        let made = try await Binary.run(["keygen", "--run", "keys"], in: folder)
        try #require(made.status == 0, "\(made.errors)")
        for secret in try secretTexts("\(folder)/keys") {
            #expect(secret.utf8.count == 40 && !(made.output + made.errors).contains(secret))
        }
        try write(plain, "\(folder)/plain.yaml")
        // What the command prints is what the configuration needs.
        try write(plain + "\n" + made.output, "\(folder)/run.yaml")
    }

    /// Lines of steps so far.
    private static func step(_ folder: String) -> Int {
        let text = (try? String(contentsOfFile: "\(folder)/runs/tiny/metrics.jsonl", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").count - 1
    }

    private static func wait(forStep step: Int, _ folder: String, _ run: Binary.Running) async throws {
        let deadline = Date().addingTimeInterval(90)
        while self.step(folder) < step {
            try #require(run.process.isRunning && Date() < deadline, "\(run.errors)")
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    @Test func strangersAreTurnedAwayWhileTheRunGoesOn() async throws {
        try await withTemporaryFolder { folder in
            try await Self.writeRun(in: folder, steps: 1_000_000)
            let options = ["--set", "checkpoint.every=0", "--set", "evaluation.every=0"]
            // The endpoint is beyond loopback, which needs no permission with keys.
            let run = try Binary.Running(
                ["run", "run.yaml", "--set", "pipeline.endpoint=tcp://0.0.0.0:*"] + options, input: "", folder: folder,
                environment: [:])
            defer { kill(run.process.processIdentifier, SIGKILL) }
            try await Self.wait(forStep: 1, folder, run)
            let bound = try String(contentsOfFile: "\(folder)/runs/tiny/endpoint", encoding: .utf8)
            let endpoint = bound.filter { $0 != "\n" }.replacing("0.0.0.0", with: "127.0.0.1")

            let stranger = try await Binary.run(["keygen", "keys/stranger"], in: folder)
            #expect(stranger.status == 0 && stranger.output.contains("security.rollout_clients"), "\(stranger.errors)")
            let connect = ["--connect", endpoint, "--set", "pipeline.connect_timeout_s=2"]
            async let unknown = Binary.run(
                ["rollout", "run.yaml", "--set", "security.rollout_key=keys/stranger.key"] + connect, in: folder)
            async let wrongRole = Binary.run(
                ["rollout", "run.yaml", "--set", "security.rollout_key=keys/scorer.key"] + connect, in: folder)
            async let wrongRoleToo = Binary.run(
                ["scorer", "run.yaml", "--set", "security.scorer_key=keys/rollout.key"] + connect, in: folder)
            async let plain = Binary.run(["scorer", "plain.yaml"] + connect, in: folder)
            try await Self.sendHugeHeader(endpoint)

            let (stayedOut, unencrypted) = (try await unknown, try await plain)
            #expect(stayedOut.status == 1 && stayedOut.errors.contains("does not let in the key"))
            #expect(unencrypted.status == 1 && unencrypted.errors.contains("wants keys"))
            for refused in [try await wrongRole, try await wrongRoleToo] {
                #expect(refused.status == 2, "\(refused.errors)")
                let errors = refused.errorLines.filter { $0.hasPrefix("error: ") }
                #expect(errors.count == 1 && errors[0].contains("its key is that of a"), "\(refused.errors)")
            }

            // The status is for members' keys only.
            let status = try await Binary.run(["status", endpoint, "--config", "run.yaml"], in: folder)
            #expect(status.status == 0 && status.output.contains("rollout-0"), "\(status.output + status.errors)")
            // Also where only a scorer's keys are, as on a machine of its own, and no models.
            var apart = try String(contentsOfFile: "\(folder)/run.yaml", encoding: .utf8)
            for file in ["keys/learner.key", "keys/rollout.", "keys/scorer.clients", "model: "] {
                apart = apart.replacing(file, with: "\(file)elsewhere")
            }
            try write(apart, "\(folder)/scorer.yaml")
            let grader = try await Binary.run(["status", endpoint, "--config", "scorer.yaml"], in: folder)
            #expect(grader.status == 0 && grader.output.contains("rollout-0"), "\(grader.output + grader.errors)")
            let outsider = try await Binary.run(["status", endpoint, "--timeout", "1"], in: folder)
            #expect(outsider.status == 1 && outsider.output.isEmpty, "\(outsider.output + outsider.errors)")
            #expect(outsider.errors.contains("give --config"), "\(outsider.errors)")
            // A run's folder says which keys it has; where they cannot be had, that is said instead.
            let own = try await Binary.run(["status", "runs/tiny"], in: folder)
            #expect(own.status == 0 && own.output.contains("rollout-0"), "\(own.output + own.errors)")
            let elsewhere = try await Binary.run(["status", "../runs/tiny"], in: "\(folder)/keys")
            #expect(elsewhere.status == 2 && elsewhere.errorLines.count == 1, "\(elsewhere.errors)")
            #expect(elsewhere.errors.contains("is an encrypted run") && elsewhere.errors.contains("give --config"))

            try await Self.wait(forStep: Self.step(folder) + 2, folder, run)
            kill(run.process.processIdentifier, SIGINT)
            let stopped = await run.finish(within: 180)
            #expect(stopped.status == 130, "\(stopped.errors)")
            #expect(!stopped.errors.contains("starting it again"), "\(stopped.errors)")

            let log = try String(contentsOfFile: "\(folder)/runs/tiny/logs/learner.log", encoding: .utf8)
            for reason in [
                "is in no list of clients", "its key is that of a scorer, not of a rollout worker",
                "its key is that of a rollout worker, not of a scorer", "sent a frame above",
            ] {
                #expect(log.split(separator: "\n").count { $0.contains(reason) } == 1, "\(reason) in \(log)")
            }
            // Which of the two depends on who hangs up first.
            let plainText = ["one side uses keys and the other does not", "as one without keys does"]
            #expect(plainText.contains { log.contains($0) }, "\(log)")
            let count = log.firstMatch(of: /refused: ([0-9]+)/).flatMap { Int($0.1) } ?? 0
            #expect(count >= 5, "\(log)")

            // Nothing of it shows in what was trained.
            let latest = try FileManager.default.destinationOfSymbolicLink(
                atPath: "\(folder)/runs/tiny/checkpoints/latest")
            let steps = try #require(Int(latest.dropFirst("step-".count)))
            let reference = try await Binary.run(
                ["run", "plain.yaml", "--set", "name=plain", "--set", "training.steps=\(steps)"] + options, in: folder)
            #expect(reference.status == 0, "\(reference.errors)")
            #expect(
                try ProcessRunTests.weights(folder) == ProcessRunTests.weights(folder, run: "plain"), "step \(steps)")
            try Self.expectNoSecrets(in: folder)
        }
    }

    /// A frame of 10 GB is announced where the handshake should go on.
    private static func sendHugeHeader(_ endpoint: String) async throws {
        let peer = try RawPeer(endpoint)
        // ZMTP 3.0, CURVE; then the header of a long command.
        let greeting =
            [0xff] + [UInt8](repeating: 0, count: 8) + [0x7f, 3, 0] + Array("CURVE".utf8)
            + [UInt8](repeating: 0, count: 15 + 32)
        #expect(await peer.send(greeting + [6] + withUnsafeBytes(of: UInt64(10 << 30).bigEndian) { Array($0) }))
        // It is closed from the other side.
        _ = await peer.waitForEnd()
    }

    /// No file but the keys themselves has a secret in it.
    private static func expectNoSecrets(in folder: String) throws {
        let secrets = try secretTexts("\(folder)/keys").map { Data($0.utf8) }
        #expect(secrets.count == 4)
        let files = try #require(FileManager.default.enumerator(atPath: folder))
        for case let name as String in files where !name.hasSuffix(".key") {
            guard let data = FileManager.default.contents(atPath: "\(folder)/\(name)") else { continue }
            for secret in secrets { #expect(data.firstRange(of: secret) == nil, "\(name) has a secret key in it") }
        }
    }

    @Test func keysThatDoNotFitAreNamed() async throws {
        try await withTemporaryFolder { folder in
            try await Self.writeRun(in: folder, steps: 1)
            func refusal(_ arguments: [String]) async throws -> String {
                let result = try await Binary.run(arguments, in: folder)
                #expect(result.status == 2, "\(result.errors)")
                #expect(result.errorLines.count == 1, "\(result.errors)")
                return result.errors
            }
            #expect(chmod("\(folder)/keys/learner.key", 0o644) == 0)
            #expect(try await refusal(["learner", "run.yaml"]).contains("has mode 0644"))
            #expect(try await refusal(["run", "run.yaml"]).contains("chmod 600 keys/learner.key"))
            #expect(chmod("\(folder)/keys/learner.key", 0o600) == 0)
            #expect(
                try await refusal(["run", "run.yaml", "--set", "security.rollout_key=keys/scorer.key"]).contains(
                    "is not in security.rollout_clients"))
            #expect(
                try await refusal(["run", "run.yaml", "--set", "security.learner_public_key=keys/scorer.pub"]).contains(
                    "is not the public key of keys/learner.key"))
            #expect(
                try await refusal([
                    "rollout", "run.yaml", "--connect", "tcp://127.0.0.1:1", "--set", "security.rollout_key=",
                ])
                .contains("security.rollout_key is missing"))
            #expect(
                try await refusal([
                    "scorer", "run.yaml", "--connect", "tcp://127.0.0.1:1", "--set", "security.scorer_key=no.key",
                ])
                .contains("no such file: 'no.key'"))
            #expect(try await refusal(["keygen", "keys/learner"]).contains("keys/learner.key exists"))
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/runs/tiny"))
        }
    }
}

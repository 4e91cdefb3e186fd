import Foundation
import TestSupport
import Testing

/// Runs whose learner is lost, and goes on in another process.
@Suite(.serialized) struct StandbyRunTests {
    /// More than a busy machine keeps a learner from saying that it lives.
    private static let silence = 30
    /// As little as a test waits for that is about silence.
    private static let shortSilence = 2

    /// A run that is not over before a busy test gets its turn.
    private static let steps = 300

    private static let reference = Task {
        () async throws -> (metrics: [[String: String]], weights: Data) in
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: steps)
            let result = try await Binary.run(["run", "run.yaml", "--quiet"], in: folder)
            try #require(result.status == 0, "\(result.errors)")
            return (try ProcessRunTests.metrics(folder), try ProcessRunTests.weights(folder))
        }
    }

    private static func options(_ silence: Int) -> [String] { ["--set", "pipeline.standby_after_s=\(silence)"] }

    /// A learner, standbys that watch it, and members that know all of them.
    private final class Cast {
        let folder: String
        let silence: Int
        let endpoints: [String]
        let learner: Binary.Running
        var standbys: [Binary.Running] = []
        var members: [Binary.Running] = []

        init(
            in folder: String, standbys count: Int = 1, hasKeys: Bool = false,
            silence: Int = StandbyRunTests.silence
        ) async throws {
            self.silence = silence
            try TinyModel.writeRun(in: folder, steps: StandbyRunTests.steps)
            if hasKeys {
                let keys = try await Binary.run(["keygen", "--run", "keys"], in: folder)
                let run = try String(contentsOfFile: "\(folder)/run.yaml", encoding: .utf8)
                try write("\(run)\n\(keys.output)", "\(folder)/run.yaml")
            }
            self.folder = folder
            endpoints = try (0...count).map { _ in "tcp://127.0.0.1:\(try freePort())" }
            learner = try Self.start(["learner", "run.yaml", "--bind", endpoints[0]], folder, silence)
            try await Self.wait(for: "the learner's configuration", learner) {
                FileManager.default.fileExists(atPath: "\(folder)/runs/tiny/config.yaml")
            }
            for endpoint in endpoints.dropFirst() {
                let words = ["learner", "run.yaml", "--standby", "--bind", endpoint]
                let standby = try Self.start(words, folder, silence)
                standbys.append(standby)
                try await Self.wait(for: "the standby's watch", standby) {
                    standby.errors.contains("standby: watching")
                }
            }
        }

        deinit { for child in [learner] + standbys + members { kill(child.process.processIdentifier, SIGKILL) } }

        static func start(_ words: [String], _ folder: String, _ silence: Int) throws -> Binary.Running {
            try Binary.Running(words + options(silence), input: "", folder: folder, environment: [:])
        }

        static func wait(for what: String, _ child: Binary.Running, until isThere: () -> Bool) async throws {
            let deadline = Date().addingTimeInterval(120)
            while !isThere() {
                try #require(child.process.isRunning && Date() < deadline, "\(what) did not come: \(child.errors)")
                try await Task.sleep(for: .milliseconds(5))
            }
        }

        /// Members come when all learners are there: the run is short.
        func begin(to step: Int) async throws {
            for role in ["rollout", "scorer"] {
                let words = [role, "run.yaml", "--name", role, "--connect", endpoints.joined(separator: ",")]
                members.append(try Self.start(words, folder, silence))
            }
            try await ProcessRunTests.waitForStep(step, folder, learner)
        }

        func signal(_ number: Int32) { kill(learner.process.processIdentifier, number) }

        /// The run is over, and as one that nobody disturbed.
        func expectReference(after standby: Binary.Running) async throws {
            let end = await standby.finish(within: 180)
            #expect(end.status == 0, "\(end.errors)")
            for member in members {
                let end = await member.finish(within: 60)
                #expect(end.status == 0, "\(end.errors)")
            }
            let reference = try await StandbyRunTests.reference.value
            #expect(try ProcessRunTests.metrics(folder) == reference.metrics)
            #expect(try ProcessRunTests.weights(folder) == reference.weights)
        }
    }

    @Test(arguments: [false, true]) func aStandbyGoesOnWhenTheLearnerIsKilled(hasKeys: Bool) async throws {
        try await withTemporaryFolder { folder in
            let cast = try await Cast(in: folder, hasKeys: hasKeys)
            try await cast.begin(to: 4)
            cast.signal(SIGKILL)
            try await cast.expectReference(after: cast.standbys[0])
            #expect(cast.standbys[0].errors.contains("took the run over as term 2"), "\(cast.standbys[0].errors)")
            // A run that is over has nothing to watch.
            let late = try await Binary.run(
                ["learner", "run.yaml", "--standby"] + Self.options(Self.silence), in: folder)
            #expect(late.status == 0 && late.errors.contains("has finished it"), "\(late.errors)")
        }
    }

    /// The learner that was taken for dead comes back, and is to change nothing any more.
    @Test func aLearnerThatWasSuspendedEnds() async throws {
        try await withTemporaryFolder { folder in
            let cast = try await Cast(in: folder, silence: Self.shortSilence), standby = cast.standbys[0]
            try await cast.begin(to: 4)
            cast.signal(SIGSTOP)
            try await Cast.wait(for: "the standby's term", standby) { standby.errors.contains("as term 2") }
            cast.signal(SIGCONT)
            let old = await cast.learner.finish(within: 60)
            let errors = old.errorLines.filter { $0.hasPrefix("error: ") }
            #expect(old.status == 1 && errors.count == 1, "\(old.errors)")
            // That it is so, or may be so: whichever of its threads wakes first says it.
            #expect(errors.first?.contains("taken the run over") == true, "\(errors)")
            try await cast.expectReference(after: standby)
        }
    }

    /// A machine that is taken away is no end of the run; with two standbys one goes on, and the other watches that one.
    @Test func aLearnerThatIsStoppedHandsOver() async throws {
        try await withTemporaryFolder { folder in
            let cast = try await Cast(in: folder, standbys: 2)
            try await cast.begin(to: 4)
            cast.signal(SIGTERM)
            #expect(await cast.learner.finish(within: 60).status == 143)
            let first = cast.standbys[0], second = cast.standbys[1]
            try await Cast.wait(for: "a standby's term", first) {
                first.errors.contains("as term 2") || second.errors.contains("as term 2")
            }
            let isFirst = first.errors.contains("as term 2")
            try await cast.expectReference(after: isFirst ? first : second)
            let other = await (isFirst ? second : first).finish(within: 60)
            #expect(other.status == 0 && other.errors.contains("has finished it"), "\(other.errors)")
        }
    }

    @Test func aPersonStopsBoth() async throws {
        try await withTemporaryFolder { folder in
            let cast = try await Cast(in: folder)
            // Another learner without a word is refused while this one lives.
            let second = try await Binary.run(
                ["learner", "run.yaml", "--resume"] + Self.options(Self.shortSilence), in: folder)
            #expect(second.status == 2, "\(second.errors)")
            #expect(second.errors.contains("runs/tiny is in use by another learner (term 1"), "\(second.errors)")
            let plain = try await Binary.run(["learner", "run.yaml", "--resume"], in: folder)
            #expect(plain.status == 2 && plain.errors.contains("is in use by another learner"), "\(plain.errors)")
            try await cast.begin(to: 4)
            cast.signal(SIGINT)
            #expect(await cast.learner.finish(within: 60).status == 130)
            let end = await cast.standbys[0].finish(within: 60)
            #expect(end.status == 75 && end.errors.contains("stopped by SIGINT; go on with --resume"), "\(end.errors)")
            for member in cast.members { #expect(await member.finish(within: 60).status == 0) }
            let resumed = try await Binary.run(["run", "run.yaml", "--resume"], in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            let reference = try await StandbyRunTests.reference.value
            #expect(try ProcessRunTests.metrics(folder) == reference.metrics)
            #expect(try ProcessRunTests.weights(folder) == reference.weights)
        }
    }

    /// A file system that has gone: nothing can be written, and nobody tells that the run is another's.
    @Test func aLearnerThatCannotSayThatItLivesEnds() async throws {
        try await withTemporaryFolder { folder in
            let cast = try await Cast(in: folder, standbys: 0, silence: Self.shortSilence)
            let holder = "\(folder)/runs/tiny/terms/term-000001/holder"
            try FileManager.default.moveItem(atPath: holder, toPath: "\(holder)-away")
            try FileManager.default.createDirectory(atPath: holder, withIntermediateDirectories: false)
            let end = await cast.learner.finish(within: 60)
            #expect(end.status == 1 && end.errors.contains("could not say for"), "\(end.errors)")
        }
    }

    @Test func whatCannotBeWatchedIsSaidInALine() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder)
            func refusal(_ words: String...) async throws -> String {
                let result = try await Binary.run(["learner", "run.yaml", "--standby"] + words, in: folder)
                #expect(result.status == 2 && result.errorLines.filter { $0.hasPrefix("error: ") }.count == 1)
                return result.errors
            }
            let options = Self.options(Self.silence)
            #expect(try await refusal().contains("pipeline.standby_after_s is 0"))
            #expect(try await refusal(options[0], options[1]).contains("has no learner to watch"))
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/runs"))
            #expect(try await refusal("--set", "pipeline.standby_after_s=0.5").contains("is too short"))
            let learner = try Cast.start(["learner", "run.yaml"], folder, Self.silence)
            defer { kill(learner.process.processIdentifier, SIGKILL) }
            try await Cast.wait(for: "the learner's configuration", learner) {
                FileManager.default.fileExists(atPath: "\(folder)/runs/tiny/config.yaml")
            }
            #expect(
                try await refusal(options[0], options[1], "--set", "training.learning_rate=0.5").contains(
                    "training.learning_rate is 0.5 now and was 0.01 in runs/tiny/config.yaml"))
        }
    }
}

import Foundation
import TestSupport
import Testing

/// Runs that are killed, interrupted, bounded and damaged end as the undisturbed one does.
extension ProcessRunTests {
    @Test func killedWorkersAndScorersCostOnlyTime() async throws {
        let reference = try await Self.reference.value
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: Self.steps)
            let run = try Binary.Running(["run", "run.yaml"], input: "", folder: folder, environment: [:])
            for (step, role) in [(1, "rollout"), (2, "scorer"), (3, "rollout")] {
                try await Self.waitForStep(step, folder, run)
                for process in Self.children(of: run.process.processIdentifier, running: role) {
                    kill(process, SIGKILL)
                }
            }
            let result = await run.finish(within: 180)
            #expect(result.status == 0, "\(result.errors)")
            #expect(try Self.metrics(folder) == reference.metrics)
            #expect(try Self.weights(folder) == reference.weights)
        }
    }

    @Test func anInterruptedRunIsResumed() async throws {
        let reference = try await Self.reference.value
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: Self.steps)
            let run = try Binary.Running(["run", "run.yaml"], input: "", folder: folder, environment: [:])
            try await Self.waitForStep(2, folder, run)
            kill(run.process.processIdentifier, SIGINT)
            let stopped = await run.finish(within: 180)
            #expect(stopped.status == 130, "\(stopped.errors)")
            #expect(stopped.errors.contains("--resume"))
            let refused = try await Binary.run(["run", "run.yaml"], in: folder)
            #expect(refused.status == 2)
            #expect(
                refused.errorLines == [
                    "error: runs/tiny exists; continue it with --resume, begin anew with --again or choose another name"
                ])
            let resumed = try await Binary.run(["run", "run.yaml", "--resume"], in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(try Self.metrics(folder) == reference.metrics)
            #expect(try Self.weights(folder) == reference.weights)
        }
    }

    @Test func aKilledLearnerIsResumed() async throws {
        let reference = try await Self.reference.value
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: Self.steps)
            let run = try Binary.Running(["run", "run.yaml"], input: "", folder: folder, environment: [:])
            try await Self.waitForStep(3, folder, run)
            for process in Self.children(of: run.process.processIdentifier, running: "learner") {
                kill(process, SIGKILL)
            }
            #expect(await run.finish(within: 180).status == 1)
            let resumed = try await Binary.run(["run", "run.yaml", "--resume"], in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(try Self.metrics(folder) == reference.metrics)
            #expect(try Self.weights(folder) == reference.weights)
        }
    }

    /// The machine of a learner is lost with its disk: on another, the run goes on from the copies.
    @Test func aRunIsResumedFromItsCopies() async throws {
        let reference = try await Self.reference.value
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: Self.steps)
            let options = ["run", "run.yaml", "--set", "checkpoint.copy_to=copies"]
            let run = try Binary.Running(options, input: "", folder: folder, environment: [:])
            try await Self.waitForStep(5, folder, run)
            while !names("\(folder)/copies").contains(where: { $0.hasPrefix("step-") }) {
                try #require(run.process.isRunning)
                try await Task.sleep(for: .milliseconds(5))
            }
            for process in Self.children(of: run.process.processIdentifier, running: "learner") {
                kill(process, SIGKILL)
            }
            #expect(await run.finish(within: 180).status == 1)
            try FileManager.default.removeItem(atPath: "\(folder)/runs")

            let anew = try await Binary.run(options, in: folder)
            #expect(anew.status == 2, "\(anew.errors)")
            #expect(anew.errors.contains("copies has the copies of another run"), "\(anew.errors)")

            let resumed = try await Binary.run(options + ["--resume-from", "file://\(folder)/copies"], in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(resumed.errors.contains("fetched the checkpoint of step"), "\(resumed.errors)")
            #expect(try Self.metrics(folder) == reference.metrics)
            #expect(try Self.weights(folder) == reference.weights)
            // What it ends with is there too, and the old ones are gone.
            let kept = names("\(folder)/copies")
            #expect(kept.count == 4 && kept.prefix(2) == ["latest", "owner"] && kept.last == "step-000020", "\(kept)")
            let copied = try Data(
                contentsOf: URL(filePath: "\(folder)/copies/step-000020/model/model.safetensors"))
            #expect(copied == reference.weights)
        }
    }

    @Test func aPlaceThatDoesNotWorkEndsTheStart() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 2)
            try write("", "\(folder)/file")
            for (place, status, words) in [
                ("file", 1, "checkpoint.copy_to: file: "), ("ftp://host/x", 2, "is none of file://"),
                ("ssh://host/a b", 2, "names no folder"),
            ] {
                for more in [[], ["--dry-run"]] {
                    let result = try await Binary.run(
                        ["run", "run.yaml", "--quiet", "--set", "checkpoint.copy_to=\(place)"] + more, in: folder)
                    #expect(Int(result.status) == status, "\(place): \(result.errors)")
                    #expect(result.errors.contains(words), "\(result.errors)")
                }
            }
        }
    }

    /// A scheduler tells every process of a job that its time is nearly over.
    @Test func aScheduledEndIsResumed() async throws {
        let reference = try await Self.reference.value
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: Self.steps)
            let run = try Binary.Running(["run", "run.yaml"], input: "", folder: folder, environment: [:])
            try await Self.waitForStep(2, folder, run)
            let parent = run.process.processIdentifier
            for role in ["rollout", "scorer"] {
                for process in Self.children(of: parent, running: role) { kill(process, SIGUSR1) }
            }
            kill(parent, SIGUSR1)
            let stopped = await run.finish(within: 180)
            #expect(stopped.status == 138, "\(stopped.errors)")
            #expect(!stopped.errors.contains("starting it again"), "members go on: \(stopped.errors)")
            #expect(stopped.errors.contains("--resume"))
            let resumed = try await Binary.run(["run", "run.yaml", "--resume"], in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(try Self.metrics(folder) == reference.metrics)
            #expect(try Self.weights(folder) == reference.weights)
        }
    }

    @Test func aRunStopsBeforeItsTimeLimit() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1_000_000)
            let options = ["--set", "checkpoint.every=0", "--set", "evaluation.every=0"]
            let stopped = try await Binary.run(["run", "run.yaml", "--time-limit", "20s"] + options, in: folder)
            #expect(stopped.status == 75, "\(stopped.errors)")
            #expect(stopped.errors.contains("time limit of 20 s"), "\(stopped.errors)")
            #expect(stopped.errors.contains("--resume"))
            let done = try #require(try Self.metrics(folder).last?["step"].flatMap { Int($0) })
            #expect(
                FileManager.default.fileExists(
                    atPath: "\(folder)/runs/tiny/checkpoints/latest/state.json"), "after step \(done)")
            let steps = "training.steps=\(done + 1)"
            let resumed = try await Binary.run(["run", "run.yaml", "--resume", "--set", steps] + options, in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(try Self.metrics(folder).map { $0["step"] } == (1...done + 1).map { "\($0)" })
        }
    }

    @Test func aDamagedCheckpointIsSteppedOver() async throws {
        let reference = try await Self.reference.value
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: Self.steps)
            let options = ["run", "run.yaml", "--set", "training.steps=4", "--set", "checkpoint.keep_every=1"]
            #expect(try await Binary.run(options, in: folder).status == 0)
            let checkpoints = "\(folder)/runs/tiny/checkpoints"
            let names = try FileManager.default.contentsOfDirectory(atPath: checkpoints)
            #expect(names.sorted() == ["latest", "step-000001", "step-000002", "step-000003", "step-000004"])
            let weights = try #require(
                FileHandle(forUpdatingAtPath: "\(checkpoints)/step-000004/model/model.safetensors"))
            try weights.seek(toOffset: 20_000)
            let byte = try #require(try weights.read(upToCount: 1)?.first)
            try weights.seek(toOffset: 20_000)
            try weights.write(contentsOf: Data([byte ^ 1]))
            try weights.close()
            let inspected = try await Binary.run(["inspect", "runs/tiny/checkpoints/latest"], in: folder)
            #expect(inspected.status == 1 && inspected.output.contains("model/model.safetensors has a wrong checksum"))
            let resumed = try await Binary.run(["run", "run.yaml", "--resume"], in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(resumed.errors.contains("step-000004 is damaged and is not used"), "\(resumed.errors)")
            #expect(resumed.errors.contains("going on from runs/tiny/checkpoints/step-000003"), "\(resumed.errors)")
            #expect(try Self.metrics(folder) == reference.metrics)
            #expect(try Self.weights(folder) == reference.weights)
            let intact = try await Binary.run(["inspect", "runs/tiny/checkpoints/latest"], in: folder)
            #expect(intact.status == 0 && intact.output.contains("yes"), "\(intact.output)")
            for name in try FileManager.default.contentsOfDirectory(atPath: checkpoints) where name != "latest" {
                try FileManager.default.removeItem(atPath: "\(checkpoints)/\(name)/optimizer.safetensors")
            }
            let refused = try await Binary.run(["run", "run.yaml", "--resume", "--quiet"], in: folder)
            #expect(refused.status == 1)
            let errors = refused.errorLines.filter { $0.hasPrefix("error: ") }
            #expect(errors.count == 1 && errors[0].contains("every checkpoint is damaged"), "\(refused.errors)")
        }
    }
}

import Configuration
import Engines
import Logging
import Pipeline
import RunFiles
import WeightDifferences
import Wording

/// The checkpoints of a run, each as the difference of its weights from those of the one before: what workers on other
/// machines were sent, or would have been.
package enum DifferenceBenchmark {
    /// The difference between two checkpoints.
    package struct Result: Sendable {
        package var fromStep: Int
        package var toStep: Int
        package var snapshotBytes: Int
        package var differenceBytes: Int
        /// Share of the weights whose bits have changed.
        package var density: Double
        /// Seconds to check a whole version, as every worker does.
        package var checkSeconds: Double
        /// Seconds to make the difference, and to make the version of it and check that: the best of all repetitions.
        package var encodeSeconds: Double
        package var applySeconds: Double
    }

    /// - Parameters:
    ///   - folder: of a run whose checkpoints are there, best of every step (`checkpoint.every: 1`).
    ///   - report: called with each difference, in the order of the steps.
    /// - Throws: `UsageError` where there are not two checkpoints; what an engine throws that cannot read them.
    package static func run(
        _ folder: RunFolder, threads: Int?, repetitions: Int, engines: EngineChoice = .standard,
        report: (Result) throws -> Void
    ) async throws {
        var configuration = try RunConfiguration.load(folder.configuration, requiring: [.student]).configuration
        if let threads { configuration.pipeline.threads = threads }
        let checkpoints = CheckpointStore(folder: folder.checkpoints).list().sorted { $0.step < $1.step }
        guard checkpoints.count > 1 else {
            throw UsageError("\(folder.checkpoints) has no two checkpoints; run with checkpoint.every=1")
        }
        let student = configuration.trainerReference(log: folder.log("torch"))
        let trainer = try await engines.factory(for: student).trainer(student, configuration.trainerOptions)
        var before: Version?
        for checkpoint in checkpoints {
            try await trainer.restore(from: checkpoint.path)
            let place = WeightPlace(trainer.weightManifest, version: UInt64(checkpoint.step))
            try await trainer.writeWeights(to: place)
            let (checksum, seconds) = fastest(of: repetitions) { place.written.checksum }
            let now = Version(step: checkpoint.step, place: place, checksum: checksum)
            if let before { try report(try measure(before, now, checkSeconds: seconds, repetitions)) }
            before = now
        }
    }

    private struct Version {
        let step: Int
        let place: WeightPlace
        let checksum: UInt32

        /// - Parameter bytes: those of the place, which are kept alive meanwhile.
        func version(_ bytes: UnsafeMutableRawBufferPointer) -> WeightVersion {
            WeightVersion(version: UInt64(step), bytes: UnsafeRawBufferPointer(bytes), checksum: checksum)
        }
    }

    private static func measure(
        _ before: Version, _ now: Version, checkSeconds: Double, _ repetitions: Int
    ) throws -> Result {
        let manifest = now.place.manifest
        return try before.place.memory.withBytes { old in
            try now.place.memory.withBytes { new in
                let (encoded, encodeSeconds) = fastest(of: repetitions) {
                    WeightDifference.encode(now.version(new), against: before.version(old), of: manifest)
                }
                let difference = WeightBytes(count: encoded.bytes.count) { $0.copyBytes(from: encoded.bytes) }
                let memory = WeightMemory(byteCount: manifest.byteCount)
                let (_, applySeconds) = try fastest(of: repetitions) {
                    try memory.withBytes {
                        try WeightDifference.apply(
                            [difference], to: before.version(old), version: UInt64(now.step), checksum: now.checksum,
                            of: manifest, into: $0)
                    }
                }
                guard memory.withBytes({ $0.elementsEqual(new) }) else {
                    throw EngineError("the difference of steps \(before.step) and \(now.step) made other weights")
                }
                return Result(
                    fromStep: before.step, toStep: now.step, snapshotBytes: manifest.byteCount,
                    differenceBytes: encoded.bytes.count, density: encoded.density, checkSeconds: checkSeconds,
                    encodeSeconds: encodeSeconds, applySeconds: applySeconds)
            }
        }
    }

    /// What comes of `work`, and the seconds of the fastest of several times.
    private static func fastest<Value>(of repetitions: Int, _ work: () throws -> Value) rethrows -> (Value, Double) {
        func timed() throws -> (Value, Double) {
            let start = ContinuousClock.now
            let value = try work()
            return (value, (ContinuousClock.now - start) / .seconds(1))
        }
        var best = try timed()
        for _ in 1..<max(repetitions, 1) {
            let next = try timed()
            if next.1 < best.1 { best = next }
        }
        return best
    }
}

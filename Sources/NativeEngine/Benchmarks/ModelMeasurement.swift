import Compute
import Glibc
import Models
import Rules

/// One kind of the native engine's work on a model, repeated and timed.
package struct ModelMeasurement {
    /// What of an engine is measured.
    package enum Work: String, Sendable { case generate, score, train }

    /// What a kind of operation took of the measured repetitions.
    package struct Operation {
        package let name: String
        package let calls: Int
        package let seconds: Double
        /// Multiplications and additions of its matrix products.
        package let operations: Double
    }

    /// The shortest repetition.
    package let seconds: Double
    /// Largest resident size of this process so far, in bytes.
    package let peakMemory: Int
    package let limit: ThroughputLimit
    /// The operations of all repetitions and their seconds, the longest first; nil where none was asked for.
    package let profile: (operations: [Operation], seconds: Double)?

    /// Loads the model and does the work once unmeasured, then `repetitions` times.
    /// - Parameter rank: of adapters that are trained on all projections; 0: all weights are.
    package init(
        _ work: Work, of files: ModelFiles, _ load: BenchmarkLoad, rank: Int, type: ElementType, threads: Int,
        repetitions: Int, isProfiled: Bool
    ) throws {
        let (context, repeated) = try work.prepared(files, load, rank: rank, type: type, threads: threads)
        var best = Double.infinity
        for repetition in 0...repetitions {
            if isProfiled, repetition == 1 { context.profile = OperationProfile() }
            let start = ContinuousClock.now
            try repeated()
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            if repetition > 0 { best = min(best, seconds) }
        }
        seconds = best
        peakMemory = Self.peakMemory
        // After the work, whose peak of memory it would hide.
        profile = context.profile.map { ($0.operations, $0.elapsed) }
        context.profile = nil
        limit = ThroughputLimit(files.configuration, type: type, context: context)
    }

    private static var peakMemory: Int {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        return usage.ru_maxrss * 1024
    }
}

extension OperationProfile {
    /// The longest first.
    var operations: [ModelMeasurement.Operation] {
        entries.sorted { $0.value.seconds > $1.value.seconds }.map {
            .init(name: $0.rawValue, calls: $1.calls, seconds: $1.seconds, operations: $1.flops)
        }
    }
}

import Distillation
import Exchange
import Locking
import Logging
import Pipeline
import RunFiles
import Telemetry
import Wire

/// Records a run in its folder, and shows it to a person.
///
/// What cannot be written (a full disk) is said once, and the run goes on without it.
package final class FolderRecorder: RunRecorder {
    private let metrics: MetricsWriter
    private let samples: SamplesWriter
    private let suspects: SuspectsWriter
    private let live: RunProgress
    private let texts: [[Int32]: String]
    private let decode: @Sendable ([Int32]) -> String
    private let logger: Logger
    private let complained = Locked(false)

    /// Opens `metrics.jsonl` and `samples.jsonl`; lines that are later than `resuming` are cut.
    /// - Parameters:
    ///   - resuming: nil starts empty files.
    ///   - plan: for the texts of the prompts; a prompt without one is decoded.
    ///   - decode: ids to text, special tokens included.
    package init(
        folder: RunFolder, resuming: CheckpointState?, progress: RunProgress, plan: RunPlan,
        decode: @escaping @Sendable ([Int32]) -> String, logger: Logger
    ) throws {
        metrics = try MetricsWriter(folder: folder.path, resumingAfter: resuming.map { Int($0.lastRecordedStep) })
        samples = try SamplesWriter(folder: folder.path, resumingAfter: resuming.map { Int($0.step) })
        suspects = try SuspectsWriter(folder: folder.path, resumingAfter: resuming.map { Int($0.step) })
        live = progress
        let named = (plan.prompts + plan.heldout).filter { !$0.text.isEmpty }
        texts = Dictionary(named.map { ($0.ids, $0.text) }) { first, _ in first }
        self.decode = decode
        self.logger = logger
    }

    package func record(_ metrics: StepMetrics) {
        write { try self.metrics.append(metrics) }
        live.record(metrics)
    }

    package func record(samples: [ScoredTrajectory], step: UInt64) {
        write {
            for scored in samples {
                try self.samples.append(record(scored, step))
            }
        }
    }

    private func record(_ scored: ScoredTrajectory, _ step: UInt64) -> SampleRecord {
        let ids = scored.trajectory.promptIDs
        return SampleRecord(
            step: Int(step), prompt: texts[ids] ?? decode(ids), response: decode(scored.trajectory.responseIDs),
            scored: scored)
    }

    package func record(suspects: [ScoredTrajectory], flaw: String, step: UInt64) {
        write {
            for scored in suspects {
                try self.suspects.append(record(scored, step), flaw: flaw)
            }
        }
    }

    package func progress(_ progress: BatchProgress) {
        live.stepProgress(
            sampled: progress.total - progress.missing, scored: progress.ready, of: progress.total)
    }

    package func activity(_ text: String) { live.activity(text) }

    private func write(_ body: () throws -> Void) {
        do {
            try body()
        } catch {
            let first = complained.withLock { complained in
                defer { complained = true }
                return !complained
            }
            if first { logger.warning("\(error); the run goes on, what cannot be written is left out") }
        }
    }
}

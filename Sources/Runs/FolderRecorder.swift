import Configuration
import CoreMetrics
import Distillation
import Exchange
import Locking
import Logging
import Pipeline
import RunFiles
import Telemetry
import Tokenizers
import Wire

/// Records a run in its folder, and shows it to a person.
///
/// What cannot be written (a full disk) is said once, and the run goes on without it.
package final class FolderRecorder: RunRecorder {
    private let metrics: MetricsWriter
    private let samples: SamplesWriter
    private let suspects: SuspectsWriter
    private let spans: SpansWriter
    private let board: TensorBoardWriter?
    private let trackers: TrackerProcess?
    private let meters: LearnerMeters?
    private let live: RunProgress
    private let prompts: [[Int32]: Prompt]
    private let decode: @Sendable ([Int32]) -> String
    private let pieces: (@Sendable ([Int32]) -> [String])?
    private let logger: Logger
    private let complained = Locked(false)
    /// Texts of single tokens that teachers would rather have seen: mostly the same few.
    private let texts = Locked<[Int32: String]>([:])

    /// Opens `metrics.jsonl` and `samples.jsonl`; lines that are later than `resuming` are cut.
    /// - Parameters:
    ///   - resuming: nil starts empty files.
    ///   - plan: for the texts of the prompts; a prompt without one is decoded.
    ///   - decode: ids to text, special tokens included.
    ///   - configuration: what is recorded, and in how much space; for other tools all of it.
    ///   - pieces: the text that each id completes, which together are what `decode` gives; nil: not known.
    ///   - metrics: where the run's numbers are told, too; nil: nowhere.
    ///   - staging: see ``JSONLinesFile/init(path:resumingAfter:staging:)``.
    package init(
        folder: RunFolder, resuming: CheckpointState?, progress: RunProgress, plan: RunPlan,
        decode: @escaping @Sendable ([Int32]) -> String, pieces: (@Sendable ([Int32]) -> [String])? = nil,
        configuration: RunConfiguration = RunConfiguration(), metrics factory: (any MetricsFactory)? = nil,
        staging: String? = nil, logger: Logger
    ) throws {
        let telemetry = configuration.telemetry
        metrics = try MetricsWriter(
            folder: folder.path, resumingAfter: resuming.map { Int($0.lastRecordedStep) }, staging: staging)
        samples = try SamplesWriter(
            folder: folder.path, resumingAfter: resuming.map { Int($0.step) },
            limit: telemetry.samplesMegabytes * 1_000_000, staging: staging)
        suspects = try SuspectsWriter(
            folder: folder.path, resumingAfter: resuming.map { Int($0.step) }, staging: staging)
        spans = try SpansWriter(folder, resumes: resuming != nil, staging: staging)
        board =
            telemetry.tensorboard
            ? try TensorBoardWriter(
                folder: folder.path, resumingAfter: resuming.map { Int($0.lastRecordedStep) }) : nil
        trackers =
            telemetry.trackers.isEmpty
            ? nil
            : TrackerProcess(
                telemetry, run: folder, name: configuration.name, resumingAfter: resuming?.lastRecordedStep,
                values: configuration.values, logger: logger)
        meters = factory.map { LearnerMeters($0, steps: configuration.training.steps) }
        live = progress
        let named = (plan.prompts + plan.heldout).filter { !$0.text.isEmpty || !$0.tags.isEmpty }
        prompts = Dictionary(named.map { ($0.ids, $0) }) { first, _ in first }
        self.decode = decode
        self.pieces = pieces
        self.logger = logger
    }

    package func record(_ metrics: StepMetrics) {
        write { try self.metrics.append(metrics) }
        write { try board?.append(metrics) }
        trackers?.append(metrics.jsonLine)
        meters?.record(metrics)
        live.record(metrics)
    }

    package func record(status: () -> Status) { meters?.record(status()) }

    package func record(samples: [ScoredTrajectory], step: UInt64) {
        let records = samples.map { record($0, step) }
        write { for record in records { try self.samples.append(record) } }
        write { try board?.append(records) }
    }

    private func record(_ scored: ScoredTrajectory, _ step: UInt64) -> SampleRecord {
        let ids = scored.trajectory.promptIDs
        let prompt = prompts[ids]
        let text = prompt.map(\.text) ?? ""
        let response = decode(scored.trajectory.responseIDs)
        return SampleRecord(
            step: Int(step), prompt: text.isEmpty ? decode(ids) : text, response: response, scored: scored,
            ends: ends(of: scored.trajectory.responseIDs, in: response), tags: prompt?.tags ?? [],
            alternatives: alternatives(to: scored))
    }

    /// What the one teacher would rather have written; of several the product is nobody's.
    private func alternatives(to scored: ScoredTrajectory) -> TokenAlternatives? {
        guard let top = scored.top, scored.otherReadings.isEmpty, scored.sampler == nil else { return nil }
        return TokenAlternatives(top, of: scored.trajectory.tokens) { id in
            if let text = texts.withLock({ $0[id] }) { return text }
            // Behind another token: at the beginning of a text some tokens lose a space.
            let piece = pieces?([id, id]).last ?? decode([id])
            // What is but a part of a character is decoded to a replacement of it, which nobody wrote.
            let text = piece.unicodeScalars.contains("\u{FFFD}") ? "" : piece
            texts.withLock { $0[id] = text }
            return text
        }
    }

    /// Where in a response's text each token ends; nil where that cannot be told for certain.
    private func ends(of ids: [Int32], in response: String) -> [Int]? {
        guard let pieces = pieces?(ids), pieces.count == ids.count else { return nil }
        var ends: [Int] = []
        ends.reserveCapacity(pieces.count)
        for piece in pieces { ends.append((ends.last ?? 0) + piece.utf8.count) }
        return ends.last ?? 0 == response.utf8.count ? ends : nil
    }

    package func record(suspects: [ScoredTrajectory], flaw: String, step: UInt64) {
        write {
            for scored in suspects {
                try self.suspects.append(record(scored, step), flaw: flaw)
            }
        }
    }

    package func record(spans: MemberSpans, since origin: UInt64, step: UInt64) {
        let shifted = spans.spans.map { StageSpan($0.stage, start: origin + $0.start, duration: $0.duration) }
        let line = SpanLine(
            step: step, member: spans.member, role: spans.role?.rawValue ?? "learner", alignment: spans.alignment,
            spans: shifted)
        write { try self.spans.append(line) }
        if spans.role == nil { meters?.record(spans) }
    }

    package func progress(_ progress: BatchProgress) {
        live.stepProgress(
            sampled: progress.total - progress.missing, scored: progress.ready, of: progress.total)
    }

    package func activity(_ text: String?) { live.activity(text) }

    /// Ends what is told to other tools.
    /// - Parameter end: how the run has ended; nil: it has failed.
    func finish(_ end: LearnerOutcome.End?) async {
        guard let trackers else { return }
        live.activity("waiting for what it is told to other tools")
        // Who stops a run seldom has much time.
        let how = end.map { $0.isStop ? "stopped" : "finished" }
        await onThread("opd-trackers") { trackers.finish(how, within: how == "finished" ? 60 : 5) }
    }

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

extension Tokenizer {
    /// The text that each of some ids completes; joined they are what `decode` gives.
    func pieces(_ ids: [Int32]) -> [String] {
        var decoder = IncrementalDecoder(self)
        var pieces = ids.map { decoder.append($0) }
        // What stays incomplete to the end is the last token's.
        if !pieces.isEmpty { pieces[pieces.count - 1] += decoder.finish() }
        return pieces
    }
}

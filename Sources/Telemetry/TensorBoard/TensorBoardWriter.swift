import Distillation
import Files
import Foundation
import JSON

/// Writes what TensorBoard shows of a run into `tensorboard/` of its folder: the numbers of `metrics.jsonl`, some
/// responses as texts, and how the divergence of a step's tokens is spread.
///
/// A run that goes on writes another file, which voids what the earlier ones have of later steps.
package final class TensorBoardWriter: Sendable {
    private let file: EventFile
    private let time: @Sendable () -> Double

    /// Most responses of a step, and of an evaluation, that are written as texts; and most characters of each.
    private static let trained = 2, evaluated = 8, characters = 4000

    /// - Parameters:
    ///   - lastStep: what is later is void; nil: the run begins.
    ///   - name: of the file, without its folder; TensorBoard wants `tfevents` in it. Nil: one that no other has.
    ///   - time: Unix time in seconds.
    package init(
        folder: String, resumingAfter lastStep: Int?, name: String? = nil,
        time: @escaping @Sendable () -> Double = { Date().timeIntervalSince1970 }
    ) throws(TelemetryError) {
        self.time = time
        let begun = time()
        let place = "\(folder)/tensorboard"
        do { _ = try FileTree.createFolder(place) } catch { throw TelemetryError(error) }
        let host = ProcessInfo.processInfo.hostName.replacing("/", with: "-")
        let process = ProcessInfo.processInfo.processIdentifier
        file = try EventFile("\(place)/\(name ?? "events.out.tfevents.\(Int(begun)).\(host).\(process)")")
        var events = [TensorBoardEvent.version(begun)]
        if let lastStep { events.append(.restart(begun, step: UInt64(max(0, lastStep)) + 1)) }
        try file.append(events)
    }

    /// Appends the numbers of a step; throws when the disk is full, which a run survives.
    package func append(_ metrics: StepMetrics) throws(TelemetryError) {
        // One list of names: that of metrics.jsonl.
        guard let line = try? JSONValue.parse(Array(metrics.jsonLine.utf8)).object else { return }
        let values = line.members.flatMap { member -> [(tag: String, value: Double)] in
            let name = "\(Self.group(member.key))/\(member.key)"
            let own = member.value.object?.members.map { ("\(name)/\(Self.safe($0.key))", $0.value) }
            return (own ?? [(name, member.value)]).compactMap { tag, value in
                guard member.key != "step", let number = value.double, number.isFinite else { return nil }
                return (tag, number)
            }
        }
        try file.append([.scalars(time(), step: metrics.step, values)])
    }

    /// Appends responses of one step, and the histogram of b - t over their tokens.
    package func append(_ records: [SampleRecord]) throws(TelemetryError) {
        guard let first = records.first else { return }
        let now = time(), step = UInt64(max(0, first.step))
        let isEvaluation = first.scored.trajectory.kind == .evaluation
        let kind = isEvaluation ? "evaluation" : "train"
        var histogram = EventHistogram()
        for record in records where record.scored.sampler == nil {
            for (b, t) in zip(record.scored.trajectory.behaviourLogprobs, record.scored.teacherLogprobs) {
                histogram.add(Double(b) - Double(t))
            }
        }
        var events: [TensorBoardEvent] = []
        if histogram.count > 0 {
            events.append(.histogram(now, step: step, tag: "\(kind)/divergence_by_token", histogram))
        }
        for (index, record) in records.prefix(isEvaluation ? Self.evaluated : Self.trained).enumerated() {
            events.append(.text(now, step: step, tag: "\(kind)/response_\(index)", Self.markdown(record)))
        }
        try file.append(events)
    }

    /// A name that is the run's own, with what not every program takes in a name as an underscore.
    private static func safe(_ name: String) -> String {
        String(
            name.unicodeScalars.map { letter -> Character in
                letter.isASCII
                    && (letter.properties.isAlphabetic || ("0"..."9").contains(letter)
                        || "_-. ".unicodeScalars.contains(letter))
                    ? Character(letter) : "_"
            })
    }

    /// Which of TensorBoard's sections a number is shown in.
    static func group(_ name: String) -> String {
        if name.hasPrefix("eval_") { return "evaluation" }
        if name.hasPrefix("tokens_") { return "tokens" }
        if name.hasSuffix("_flops") { return "operations" }
        if name.hasSuffix("_s") || name.hasSuffix("_per_second") { return "time" }
        return "train"
    }

    /// Prompt and response as blocks that Markdown takes as they are.
    private static func markdown(_ record: SampleRecord) -> String {
        func block(_ text: String) -> String {
            text.prefix(characters).split(separator: "\n", omittingEmptySubsequences: false).map { "    \($0)" }
                .joined(separator: "\n")
        }
        let trajectory = record.scored.trajectory
        let b = trajectory.behaviourLogprobs, t = record.scored.teacherLogprobs
        var heading = "\(trajectory.responseIDs.count) tokens, \(trajectory.finishReason.rawValue)"
        if b.count == t.count, !b.isEmpty {
            let sum = zip(b, t).reduce(0.0) { $0 + Double($1.0) - Double($1.1) }
            heading += ", \(ProgressLine.fixed(sum / Double(b.count), 4)) nats a token from the teacher"
        }
        if let verdict = record.scored.verdict { heading += verdict.passed ? ", passed" : ", not passed" }
        return "\(heading)\n\nprompt\n\n\(block(record.prompt))\n\nresponse\n\n\(block(record.response))\n"
    }
}

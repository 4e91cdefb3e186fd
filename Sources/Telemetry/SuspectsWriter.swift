import JSON
import Locking

/// Writes `suspects.jsonl`: trajectories that spoilt a step, or that did not fit their task, each with what is wrong.
///
/// The file is for a look, and a broken member can send such things for days: beyond a size no more are taken.
package final class SuspectsWriter: Sendable {
    /// Most bytes of the file.
    package static let limit = 16 << 20

    private let file: JSONLinesFile
    private let written: Locked<Int>

    /// See ``MetricsWriter/init(folder:resumingAfter:staging:)``.
    package init(folder: String, resumingAfter lastStep: Int?, staging: String? = nil) throws(TelemetryError) {
        file = try JSONLinesFile(path: "\(folder)/suspects.jsonl", resumingAfter: lastStep, staging: staging)
        written = Locked(file.keptByteCount)
    }

    /// Appends a trajectory, when there is room; throws when the disk is full, which a run survives.
    package func append(_ record: SampleRecord, flaw: String) throws(TelemetryError) {
        var fields = record.fields
        fields.insert(("flaw", JSONText.string(flaw)), at: 1)
        let line = JSONText.object(fields)
        let hasRoom = written.withLock { written in
            guard written + line.utf8.count < Self.limit else { return false }
            written += line.utf8.count + 1
            return true
        }
        if hasRoom { try file.append(line) }
    }
}

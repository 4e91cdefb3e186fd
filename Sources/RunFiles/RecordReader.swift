import Files
import JSON

/// What a line of a run's JSON lines tells.
package protocol RunRecord: Sendable {
    init(fields: JSONFields) throws(JSONFieldError)
}

/// A line of a run's JSON lines is not what it should be: file, line, and what is wrong.
package struct RecordError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
}

/// Reads a run's JSON lines, one record after the other, also while the run goes on: a last line that is not whole yet
/// is left out.
package struct RecordReader<Record: RunRecord>: ~Copyable {
    /// Most bytes of a line: a response of 100,000 tokens takes some 10 MB with its log-probabilities.
    package static var lineLimit: Int { 1 << 26 }

    private var lines: LineReader

    package init(_ path: String) throws(RecordError) {
        do { lines = try LineReader(path, limit: Self.lineLimit) } catch {
            throw RecordError(description: error.description)
        }
    }

    /// The next record; nil when there is none.
    package mutating func next() throws(RecordError) -> Record? {
        let line: [UInt8]?
        do { line = try lines.next() } catch { throw RecordError(description: error.description) }
        guard let line else { return nil }
        do { return try Record(fields: JSONFields(line)) } catch {
            throw RecordError(description: "\(lines.path):\(lines.lineNumber): \(error)")
        }
    }

    /// All records that are left.
    package mutating func rest() throws(RecordError) -> [Record] {
        var records: [Record] = []
        while let record = try next() { records.append(record) }
        return records
    }
}

import Files
import Locking

/// Writes `samples.jsonl` in bounded space: a file that is full is cut down to half of its size, to the responses that are
/// worth a look, see ``SampleSelection``. Their order stays, so that a run that goes on from a checkpoint can cut what is
/// later.
package final class SamplesWriter: Sendable {
    private struct State: Sendable {
        var file: JSONLinesFile
        var byteCount = 0
        /// The lines of the file, some 70 bytes each.
        var places: [SamplePlace] = []
    }

    /// Most bytes of the file, unless told otherwise.
    package static let standardLimit = 256_000_000
    /// Most bytes of a line that is read again: one of 100,000 tokens has a sixth of it.
    private static let lineLimit = 1 << 26

    private let path: String
    private let limit: Int
    private let state: Locked<State>

    /// - Parameters:
    ///   - lastStep: lines of later steps are cut; nil starts an empty file.
    ///   - limit: most bytes of the file; a single line may be longer.
    ///   - staging: see ``JSONLinesFile/init(path:resumingAfter:staging:)``.
    package init(
        folder: String, resumingAfter lastStep: Int?, limit: Int = SamplesWriter.standardLimit, staging: String? = nil
    ) throws(TelemetryError) {
        path = "\(folder)/samples.jsonl"
        self.limit = limit
        var state = State(file: try JSONLinesFile(path: path, resumingAfter: lastStep, staging: staging))
        if state.file.keptByteCount > 0 {
            do {
                var lines = try LineReader(path, limit: Self.lineLimit)
                while let line = try lines.next() { state.places.append(line.withUnsafeBytes { SamplePlace($0) }) }
            } catch { throw TelemetryError(error) }
            state.byteCount = state.places.reduce(0) { $0 + $1.count }
        }
        self.state = Locked(state)
    }

    /// Appends a response; throws when the disk is full, which a run survives.
    package func append(_ record: SampleRecord) throws(TelemetryError) {
        let line = record.jsonLine
        let place = Array(line.utf8).withUnsafeBytes { SamplePlace($0) }
        try state.withLock { state throws(TelemetryError) in
            if !state.places.isEmpty, state.byteCount + place.count > limit { try shrink(&state) }
            try state.file.append(line)
            state.places.append(place)
            state.byteCount += place.count
        }
    }

    /// Leaves the chosen half of the file. Until it has all of it the old one stays.
    private func shrink(_ state: inout State) throws(TelemetryError) {
        let kept = SampleSelection(state.places, budget: limit / 2).kept
        do {
            let old = try OpenFile.reading(path, followsLinks: false)
            var new = try AtomicFile(path)
            var next = 0
            for (index, place) in state.places.enumerated() where next < kept.count {
                let line = try old.read(count: place.count)
                guard kept[next] == index else { continue }
                try new.append(line)
                next += 1
            }
            try new.commit()
        } catch { throw TelemetryError(error) }
        state.file = try JSONLinesFile(continuing: path)
        state.places = kept.map { state.places[$0] }
        state.byteCount = state.places.reduce(0) { $0 + $1.count }
    }
}

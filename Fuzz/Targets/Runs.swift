import Foundation
import JSON
import RunFiles
import Watch

extension FuzzTarget {
    /// A run's `metrics.jsonl` and, after a NUL each, its `samples.jsonl` and its `spans.jsonl`.
    static let run = FuzzTarget(name: "run") { bytes in
        let parts = bytes.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false).map(Array.init)
        let run = RunFolder(runFolder)
        do {
            try Data(parts[0]).write(to: URL(filePath: run.metrics))
            try Data(parts.count > 1 ? parts[1] : []).write(to: URL(filePath: run.samples))
            try Data(parts.count > 2 ? parts[2] : []).write(to: URL(filePath: run.spans))
        } catch { fatalError("\(error)") }
        let document = RunDigest(of: run).document
        guard (try? JSONValue.parse(document))?.object != nil else {
            throw BrokenPromise("what a page is given of a run is JSON")
        }
        guard !ReportPage.embedded(document).contains("<") else {
            throw BrokenPromise("nothing in a page's data can begin markup")
        }
        let trace = try? TraceDocument(of: run).json
        guard trace.map({ (try? JSONValue.parse($0))?.object != nil }) ?? true else {
            throw BrokenPromise("a trace is JSON")
        }
        for line in parts[0].split(separator: UInt8(ascii: "\n")) {
            let isWalked = Array(line).withUnsafeBytes { buffer in
                var scanner = ObjectScanner(buffer)
                while scanner.key() != nil { scanner.skip() }
                return scanner.isWhole
            }
            // A mark of the byte order is not looked for: no line of ours has one.
            guard isWalked || line.first == 0xEF || (try? JSONValue.parse(Array(line)))?.object == nil else {
                throw BrokenPromise("every object of the parser is walked")
            }
        }
    }

    private static let runFolder: String = {
        var template = Array("/tmp/opd-fuzz-XXXXXX".utf8CString)
        guard let path = mkdtemp(&template) else { fatalError("no scratch folder in /tmp") }
        atexit { try? FileManager.default.removeItem(atPath: runFolder) }
        return String(cString: path)
    }()
}

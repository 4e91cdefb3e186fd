import Foundation
import Pipeline
import RunFiles

extension FuzzTarget {
    /// A checkpoint's `state.json` and, after a NUL, its manifest.
    static let checkpoint = FuzzTarget(name: "checkpoint") { bytes in
        let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false).map(Array.init)
        if parts.count > 1 {
            do {
                try Data(parts[1]).write(to: URL(filePath: "\(checkpointFolder)/\(CheckpointManifest.fileName)"))
            } catch { fatalError("\(error)") }
            _ = CheckpointManifest.flaw(in: checkpointFolder)
        }
        let text = String(decoding: parts[0], as: UTF8.self)
        guard let state = try? CheckpointState.parse(text, path: CheckpointState.fileName) else { return }
        guard state.step > 0, state.tokens.balances, state.lastRecordedStep <= state.step else {
            throw BrokenPromise("the counts of an accepted checkpoint add up")
        }
    }

    private static let checkpointFolder: String = {
        var template = Array("/tmp/opd-fuzz-XXXXXX".utf8CString)
        guard let path = mkdtemp(&template) else { fatalError("no scratch folder in /tmp") }
        atexit { try? FileManager.default.removeItem(atPath: checkpointFolder) }
        return String(cString: path)
    }()
}

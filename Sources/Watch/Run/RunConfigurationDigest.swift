import Configuration
import Files
import RunFiles

/// The configuration of a run, as far as its folder has one.
package struct RunConfigurationDigest: Sendable {
    /// What the folder's file says; nil where there is none, or it is none of this program's.
    package private(set) var configuration: RunConfiguration?
    /// Why there is none; nil where there is.
    private(set) var note: String?
    /// Changes with what is above.
    private(set) var revision = 0
    private var stamp: FileStamp?

    /// Most bytes of a configuration; ours have a few thousand.
    private static let limit: UInt64 = 1 << 20

    package init(of run: RunFolder) {
        stamp = FileStamp(run.configuration)
        read(run)
    }

    /// Reads the configuration again where the file may have changed.
    /// - Returns: whether it was read.
    mutating func follow(_ run: RunFolder) -> Bool {
        let found = FileStamp(run.configuration)
        guard found != stamp else { return false }
        (stamp, configuration, note) = (found, nil, nil)
        revision += 1
        read(run)
        return true
    }

    private mutating func read(_ run: RunFolder) {
        switch FileTree.kind(run.configuration) {
        case .missing: note = "config.yaml is not there"
        case .link, .folder: note = "config.yaml is no file of a run"
        case .other:
            guard let size = try? FileTree.size(run.configuration), size <= Self.limit else {
                note = "config.yaml is larger than any configuration"
                return
            }
            do {
                let text = try FileTree.read(run.configuration, limit: Int(Self.limit))
                configuration = try RunConfiguration.parse(text, source: "config.yaml", requiring: []).configuration
            } catch let error as ConfigurationError {
                note = error.problems.first.map { RunText.cut("\($0)", to: 300) } ?? "config.yaml cannot be read"
            } catch {
                note = RunText.cut("\(error)", to: 300)
            }
        }
    }

    /// Keys with their values, in the order of the file: `training.steps`, `700`.
    var values: [(key: String, value: String)] {
        (configuration?.values ?? []).map { (RunText.cut($0.key, to: 200), RunText.cut($0.value, to: 1000)) }
    }
}

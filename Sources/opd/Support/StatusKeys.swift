import Configuration
import RunFiles
import Runs
import Transport
import Watch

/// The keys with which a command asks a learner how its run is.
enum StatusKeys {
    /// Those of the configuration that a person named, or else of the run's own; nil where it has none.
    /// - Throws: ``CommandError``: the run is encrypted, and its keys cannot be used from here.
    static func find(config: String?, run: RunFolder?) throws -> MemberKeys? {
        if let config {
            return try RunConfiguration.load(config, overrides: [], requiring: []).configuration.statusKeys()
        }
        guard let run, let configuration = RunConfigurationDigest(of: run).configuration else { return nil }
        do { return try configuration.statusKeys() } catch {
            throw CommandError.usage(
                "\(run.path) is an encrypted run, and its configuration's keys cannot be used: \(error); give --config "
                    + "FILE, a configuration with the keys of a worker or a scorer (see docs/security.md)")
        }
    }
}

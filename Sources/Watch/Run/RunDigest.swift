import Files
import RunFiles

/// A run as its folder tells it: what a page shows of it, in bounded space, read at once and never waiting for the run.
///
/// What the folder does not have is absent and named in `notes`, never zero. Everything in it is a stranger's: numbers
/// are read as numbers, and all else is text.
package struct RunDigest: Sendable {
    package let run: RunFolder
    /// The folder's last name.
    package let name: String
    package private(set) var configuration: RunConfigurationDigest
    package private(set) var metrics: MetricsDigest
    package private(set) var samples = SampleDigest()
    package private(set) var checkpoints: [Checkpoint] = []
    private(set) var restarts = RestartDigest()
    private(set) var stages = StageDigest()
    let bounds: Bounds

    /// What is kept of one run.
    package struct Bounds: Sendable {
        /// Points of a curve.
        package var points = 1024
        /// Bytes of responses.
        package var sampleBytes = 1_500_000

        package init() {}

        /// Bounds of each of several runs on one page.
        package init(runs: Int) {
            points = max(256, 1024 / max(1, runs))
            sampleBytes = max(150_000, 1_500_000 / max(1, runs))
        }
    }

    /// Reads the whole run.
    package init(of run: RunFolder, bounds: Bounds = Bounds()) {
        self.init(curvesOf: run, bounds: bounds)
        _ = samples.follow(run)
    }

    /// Reads all but the responses, which mostly take longest.
    init(curvesOf run: RunFolder, bounds: Bounds) {
        self.run = run
        self.bounds = bounds
        name = run.path.split(separator: "/").last.map(String.init) ?? run.path
        configuration = RunConfigurationDigest(of: run)
        metrics = MetricsDigest(of: run, points: bounds.points)
        checkpoints = CheckpointStore(folder: run.checkpoints).list()
        restarts.follow(run)
        _ = stages.follow(run)
    }

    /// Reads what has come since the last look.
    /// - Returns: whether anything has changed.
    mutating func follow() -> Bool {
        var hasChanged = metrics.follow(run)
        if samples.follow(run) { hasChanged = true }
        if restarts.follow(run) { hasChanged = true }
        if stages.follow(run) { hasChanged = true }
        if configuration.follow(run) { hasChanged = true }
        let found = CheckpointStore(folder: run.checkpoints).list()
        if found.map(\.step) != checkpoints.map(\.step) {
            checkpoints = found
            hasChanged = true
        }
        return hasChanged
    }

    /// Whether a folder has anything of a run.
    package static func isRun(_ run: RunFolder) -> Bool {
        FileTree.leadsToFolder(run.path)
            && [run.configuration, run.metrics].contains { FileTree.kind($0) != .missing }
    }

    /// What could not be shown, a line each.
    package var notes: [String] {
        [configuration.note].compactMap(\.self) + metrics.notes + samples.notes + restarts.notes + stages.notes
    }
}

import Files
import RunFiles

/// A run as its folder tells it: what a page shows of it, in bounded space, read at once and never waiting for the run.
///
/// What the folder does not have is absent and named in `notes`, never zero. Everything in it is a stranger's: numbers
/// are read as numbers, and all else is text.
package struct RunDigest {
    package let run: RunFolder
    /// The folder's last name.
    package let name: String
    package let configuration: RunConfigurationDigest
    package let metrics: MetricsDigest
    package let samples: SampleDigest
    package let checkpoints: [Checkpoint]
    let restarts: RestartDigest

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

    package init(of run: RunFolder, bounds: Bounds = Bounds()) {
        self.run = run
        name = run.path.split(separator: "/").last.map(String.init) ?? run.path
        configuration = RunConfigurationDigest(of: run)
        metrics = MetricsDigest(of: run, points: bounds.points)
        samples = SampleDigest(of: run, budget: bounds.sampleBytes)
        checkpoints = CheckpointStore(folder: run.checkpoints).list()
        restarts = RestartDigest(of: run)
    }

    /// Whether a folder has anything of a run.
    package static func isRun(_ run: RunFolder) -> Bool {
        FileTree.leadsToFolder(run.path)
            && [run.configuration, run.metrics].contains { FileTree.kind($0) != .missing }
    }

    /// What could not be shown, a line each.
    package var notes: [String] {
        [configuration.note].compactMap(\.self) + metrics.notes + samples.notes + restarts.notes
    }
}

/// When the learner began again from a checkpoint, as its log says.
struct RestartDigest {
    struct Restart {
        /// The step of the checkpoint; 0: the run began anew.
        var step: Int
        /// As the log writes it.
        var time: String
    }

    private(set) var restarts = Thinned<Restart>(limit: 100)
    private(set) var notes: [String] = []

    init(of run: RunFolder) {
        // A link to another folder could lead anywhere.
        guard FileTree.kind(run.logs) == .folder, FileTree.kind(run.log("learner")) != .missing else {
            notes.append("logs/learner.log is not there: restarts are not known")
            return
        }
        do {
            var starts = 0
            _ = try LineScanner(limit: 1 << 16, budget: 64 << 20).scan(run.log("learner")) { bytes, _ in
                // Looked at closely only where it can be such a line.
                guard bytes.count < 4096, bytes.count > 30 else { return }
                let line = String(decoding: bytes, as: UTF8.self)
                if line.contains(": listening at ") { starts += 1 }
                guard let restart = Self.restart(line) else { return }
                // A first start that may go on has nothing to go on from.
                if restart.step > 0 || starts > 1 { restarts.add(restart) }
            }
        } catch {
            notes.append("logs/learner.log cannot be read: restarts are not known")
        }
    }

    /// The restart that a line of the log tells of: `TIME notice LABEL: going on from FOLDER/checkpoints/step-000040`.
    static func restart(_ line: String) -> Restart? {
        let parts = line.split(separator: " ", maxSplits: 3)
        // What a member said of itself can stand in a message, and never before it.
        guard parts.count == 4, parts[1] == "notice", parts[2].hasSuffix(":") else { return nil }
        let time = String(parts[0].prefix(30)), message = parts[3]
        if message.hasSuffix("has no checkpoint: starting from the first step") { return Restart(step: 0, time: time) }
        guard message.hasPrefix("going on from "), let name = message.split(separator: "/").last,
            name.hasPrefix("step-"), let step = Int(name.dropFirst(5)), step >= 0
        else { return nil }
        return Restart(step: step, time: time)
    }
}

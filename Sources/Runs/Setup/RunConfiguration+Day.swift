import Configuration
import Files
import Glibc
import Pipeline
import RunFiles
import Templates

extension RunConfiguration {
    /// The configuration with the day that chat templates take for today: the one given, else that of the run or the
    /// checkpoint that it goes on from, else the day on which the run starts, in UTC. So a run renders its prompts the
    /// same whenever it goes on.
    func dated(_ start: LearnerProcess.Start, in folder: RunFolder) -> RunConfiguration {
        guard data.date.isEmpty else { return self }
        let earlier: String? =
            switch start {
            case .fresh: nil
            case .resume: Self.date(in: [folder.configuration])
            case .from(let path):
                Self.date(in: ["\(path)/\(CheckpointState.configurationName)", RunFolder(path).configuration])
            }
        var result = self
        result.data.date = earlier ?? TemplateDate(secondsSinceEpoch: time(nil)).dayText
        return result
    }

    /// The day that the first readable one of these configurations has; empty where it has none. Nil: none is readable.
    private static func date(in paths: [String]) -> String? {
        for path in paths {
            guard let text = try? FileTree.read(path, limit: 1 << 24),
                let earlier = try? RunConfiguration.parse(text, source: path, requiring: [])
            else { continue }
            return earlier.configuration.data.date
        }
        return nil
    }
}

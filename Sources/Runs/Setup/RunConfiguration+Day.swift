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
        guard data.date == nil else { return self }
        let earlier: RunConfiguration? =
            switch start {
            case .fresh: nil
            case .resume, .resumeFrom: Self.firstReadable([folder.configuration])
            case .from(let path):
                Self.firstReadable(["\(path)/\(CheckpointState.configurationName)", RunFolder(path).configuration])
            }
        var result = self
        if let earlier {
            // One that was made without a day goes on without.
            result.data.date = earlier.data.date
        } else {
            result.data.date = TemplateDate(secondsSinceEpoch: time(nil)).dayText
        }
        return result
    }

    /// The first of these configurations that can be read; nil: none can.
    private static func firstReadable(_ paths: [String]) -> RunConfiguration? {
        for path in paths {
            guard let text = try? FileTree.read(path, limit: 1 << 24),
                let earlier = try? RunConfiguration.parse(text, source: path, requiring: [])
            else { continue }
            return earlier.configuration
        }
        return nil
    }
}

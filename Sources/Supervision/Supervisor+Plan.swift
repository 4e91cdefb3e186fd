import Configuration
import RunFiles

/// Compute threads of the processes of a run, by what they do.
package struct ThreadCounts: Sendable, Equatable {
    package var learner: Int
    package var worker: Int
    package var scorer: Int

    package init(learner: Int, worker: Int, scorer: Int) {
        self.learner = learner
        self.worker = worker
        self.scorer = scorer
    }
}

extension Supervisor {
    /// The processes of a run on one machine: the learner, `pipeline.workers` rollout workers and
    /// `pipeline.scorers` scorers for each teacher, all of them this program. Where teachers sample, there are workers for
    /// each and no scorers.
    ///
    /// - Parameters:
    ///   - configuration: what the file says, with the overrides.
    ///   - configurationPath: the file, as the user gave it.
    ///   - overrides: `key=value` texts to be passed on.
    ///   - arguments: further options for every process, such as `--quiet`.
    ///   - learnerArguments: further options for the learner.
    ///   - threads: of each process; nil: what the configuration says.
    package static func plan(
        for configuration: RunConfiguration, configurationPath: String, overrides: [String] = [], resume: Bool,
        runFolder: RunFolder, arguments: [String] = [], learnerArguments: [String] = [],
        threads: ThreadCounts? = nil, executable: String = "/proc/self/exe"
    ) -> [ProcessSpec] {
        let common = overrides.flatMap { ["--set", $0] } + arguments
        func given(_ threads: Int?) -> [String] { threads.map { ["--set", "pipeline.threads=\($0)"] } ?? [] }
        func member(_ command: String, _ name: String, _ options: [String] = []) -> ProcessSpec {
            let threads = command == "rollout" ? threads?.worker : threads?.scorer
            return ProcessSpec(
                name: name, role: .member, executable: executable,
                arguments: [command, configurationPath, "--connect", ProcessSpec.endpointPlaceholder] + options
                    + ["--name", name] + common + given(threads),
                logPath: runFolder.log(name))
        }
        var plan = [
            ProcessSpec(
                name: "learner", role: .learner, executable: executable,
                arguments: ["learner", configurationPath, "--bind", configuration.pipeline.endpoint]
                    + (resume ? ["--resume"] : []) + learnerArguments + common + given(threads?.learner))
        ]
        func members(of teacher: String, _ command: String, _ count: Int) -> [ProcessSpec] {
            (0..<count).map { member(command, "\(command)-\(teacher)-\($0)", ["--teacher", teacher]) }
        }
        let teachers = configuration.usedTeachers.keys.sorted()
        if configuration.kind.sampler == .teachers {
            return plan + teachers.flatMap { members(of: $0, "rollout", configuration.pipeline.workers) }
        }
        for index in 0..<configuration.pipeline.workers { plan.append(member("rollout", "rollout-\(index)")) }
        return plan + teachers.flatMap { members(of: $0, "scorer", configuration.pipeline.scorers) }
    }
}

import Configuration
import RunFiles

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
    package static func plan(
        for configuration: RunConfiguration, configurationPath: String, overrides: [String] = [], resume: Bool,
        runFolder: RunFolder, arguments: [String] = [], learnerArguments: [String] = [],
        executable: String = "/proc/self/exe"
    ) -> [ProcessSpec] {
        let common = overrides.flatMap { ["--set", $0] } + arguments
        func member(_ command: String, _ name: String, _ options: [String] = []) -> ProcessSpec {
            ProcessSpec(
                name: name, role: .member, executable: executable,
                arguments: [command, configurationPath, "--connect", ProcessSpec.endpointPlaceholder] + options
                    + ["--name", name] + common,
                logPath: runFolder.log(name))
        }
        var plan = [
            ProcessSpec(
                name: "learner", role: .learner, executable: executable,
                arguments: ["learner", configurationPath, "--bind", configuration.pipeline.endpoint]
                    + (resume ? ["--resume"] : []) + learnerArguments + common)
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
